// The part of CodeMirror that is used.
import { json } from '@codemirror/lang-json'
import { StandardSQL, sql } from '@codemirror/lang-sql'
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { EditorState, type Extension } from '@codemirror/state'
import { keymap } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { basicSetup, EditorView } from 'codemirror'

type Wanted = {
  label: string
  text: string
  language: 'sql' | 'json' | 'text'
  tables: Record<string, string[]>
  onChange: (text: string) => void
  onSubmit: () => void
}

const look = EditorView.theme({
  '&': {
    border: '1px solid var(--edge)',
    borderRadius: 'var(--radius)',
    background: 'var(--surface)',
    color: 'var(--ink)',
  },
  '.cm-gutters': { background: 'var(--sunken)', color: 'var(--soft)', border: 'none' },
  '.cm-content': { fontFamily: 'var(--mono)', minHeight: '8rem', caretColor: 'var(--ink)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-activeLine, .cm-activeLineGutter': { background: 'color-mix(in srgb, var(--accent-soft), transparent 50%)' },
  '.cm-tooltip': { background: 'var(--surface)', color: 'var(--ink)', border: '1px solid var(--line)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '1px' },
})

/** In the colours of the page, light or dark. */
const colours = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--accent)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--warn)' },
  { tag: tags.propertyName, color: 'var(--accent)' },
  { tag: tags.comment, color: 'var(--soft)', fontStyle: 'italic' },
])

function language({ language, tables }: Wanted): Extension {
  if (language === 'sql') return sql({ dialect: StandardSQL, schema: tables, upperCaseKeywords: true })
  if (language === 'json') return json()
  return []
}

/** An editor in this element. */
export function edit(parent: HTMLElement, wanted: Wanted): { set: (text: string) => void; end: () => void } {
  const submit = {
    key: 'Mod-Enter',
    run: () => {
      wanted.onSubmit()
      return true
    },
  }
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: wanted.text,
      extensions: [
        keymap.of([submit]),
        basicSetup,
        language(wanted),
        look,
        syntaxHighlighting(colours),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ 'aria-label': wanted.label }),
        EditorView.updateListener.of((update) => update.docChanged && wanted.onChange(update.state.doc.toString())),
      ],
    }),
  })
  return {
    set: (text) => {
      if (text !== view.state.doc.toString())
        view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } })
    },
    end: () => view.destroy(),
  }
}
