// A setting that is a document: its JSON, tried before it is set where that can be done.
import { type ReactNode, useState } from 'react'
import { useText } from '~/i18n'
import { Button } from './Button'
import { CodeEditor } from './CodeEditor'
import { Failure, Notice, Section } from './Page'
import { useSay } from './toast'

export type Json = Record<string, unknown>

type Props = {
  label: string
  /** As it is now. */
  value: unknown
  /** What it is about, and an example where there is none yet. */
  hint?: ReactNode
  canSave: boolean
  onSave: (value: Json) => Promise<unknown>
  /** What it would change; shown below. */
  onTry?: (value: Json) => Promise<ReactNode>
}

/** The JSON of a text, or why it is none. */
function read(text: string): { value: Json } | { fault: string } {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { fault: '{ … }' }
    return { value: value as Json }
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) }
  }
}

export function Document({ label, value, hint, canSave, onSave, onTry }: Props) {
  const t = useText()
  const say = useSay()
  const asIs = JSON.stringify(value ?? {}, null, 2)
  const [text, setText] = useState<string>()
  const [state, setState] = useState<{ busy?: 'try' | 'save'; error?: unknown; tried?: ReactNode }>({})
  const now = text ?? asIs
  const found = read(now)
  const run = async (busy: 'try' | 'save', what: (value: Json) => Promise<ReactNode>) => {
    if ('fault' in found) return
    setState({ busy })
    try {
      setState({ tried: await what(found.value) })
    } catch (error) {
      setState({ error })
    }
  }
  const save = (value: Json) =>
    onSave(value).then(() => {
      setText(undefined)
      say(t('ui.saved'))
      return undefined
    })
  return (
    <Section title={label}>
      {hint}
      <CodeEditor label={label} language="json" value={now} onChange={setText} />
      {'fault' in found && <Notice tone="warn">{t('ui.document.fault', { fault: found.fault })}</Notice>}
      <Failure of={state.error} />
      {(canSave || onTry) && (
        <p>
          {onTry && (
            <Button
              busy={state.busy === 'try'}
              disabled={'fault' in found || state.busy !== undefined}
              onClick={() => void run('try', onTry)}
            >
              {t('ui.document.try')}
            </Button>
          )}{' '}
          {canSave && (
            <Button
              look="main"
              busy={state.busy === 'save'}
              disabled={'fault' in found || now === asIs || state.busy !== undefined}
              onClick={() => void run('save', save)}
            >
              {t('ui.save')}
            </Button>
          )}
        </p>
      )}
      {state.tried}
    </Section>
  )
}
