// An editor for SQL and JSON (CodeMirror), fetched when it is first shown; a plain text area until then. Tab leaves it, as everywhere.
import { useEffect, useRef, useState } from 'react'
import styles from './field.module.css'

type Props = {
  label: string
  value: string
  onChange: (value: string) => void
  /** Ctrl+Enter. */
  onSubmit?: () => void
  language?: 'sql' | 'json' | 'text'
  /** Names that are offered for SQL: columns by table. */
  tables?: Record<string, string[]>
}

export function CodeEditor({ label, value, onChange, onSubmit, language = 'sql', tables }: Props) {
  const place = useRef<HTMLDivElement>(null)
  const [editor, setEditor] = useState<{ set: (text: string) => void }>()
  const calls = useRef({ onChange, onSubmit, value })
  calls.current = { onChange, onSubmit, value }
  useEffect(() => {
    const element = place.current
    if (!element) return
    let end = () => {}
    let gone = false
    void import('./codemirror').then(({ edit }) => {
      if (gone) return
      const made = edit(element, {
        label,
        language,
        tables: tables ?? {},
        text: calls.current.value,
        onChange: (text) => calls.current.onChange(text),
        onSubmit: () => calls.current.onSubmit?.(),
      })
      end = made.end
      setEditor({ set: made.set })
    })
    return () => {
      gone = true
      end()
      setEditor(undefined)
    }
  }, [label, language, tables])
  useEffect(() => editor?.set(value), [editor, value])
  return (
    <div ref={place}>
      {!editor && (
        <textarea
          className={styles.input}
          aria-label={label}
          value={value}
          onChange={(event) => onChange(event.target.value)}
          spellCheck={false}
        />
      )}
    </div>
  )
}
