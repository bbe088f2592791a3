import { Dialog as Base } from '@base-ui/react/dialog'
import { type ReactNode, useState } from 'react'
import { useText } from '~/i18n'
import { Button } from './Button'
import { Form, TextField } from './Field'
import styles from './overlay.module.css'
import { Failure } from './Page'

type Props = { title: string; open: boolean; onClose: () => void; children: ReactNode; wide?: boolean }

/** A dialog: it holds the focus, Escape closes it, and the focus goes back to where it was. */
export function Dialog({ title, open, onClose, children, wide }: Props) {
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Base.Portal>
        <Base.Backdrop className={styles.backdrop ?? ''} />
        <Base.Popup className={`${styles.dialog} ${wide ? styles.wide : ''}`}>
          <Base.Title>{title}</Base.Title>
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  )
}

/** The buttons of a dialog. */
export function DialogFoot({ children }: { children: ReactNode }) {
  return <div className={styles.foot}>{children}</div>
}

type Question = {
  title: string
  /** What will happen. */
  children?: ReactNode
  action: string
  danger?: boolean
  /** What must be typed before something that cannot be undone. */
  typed?: string
  onConfirm: () => Promise<unknown>
  onClose: () => void
}

/** Asks before something is done; stays open, and says why, when it fails. */
export function Confirm({ title, children, action, danger, typed, onConfirm, onClose }: Question) {
  const t = useText()
  const [word, setWord] = useState('')
  const [state, setState] = useState<{ busy: boolean; error?: unknown }>({ busy: false })
  const confirm = () => {
    setState({ busy: true })
    onConfirm().then(onClose, (error: unknown) => setState({ busy: false, error }))
  }
  return (
    <Dialog title={title} open onClose={onClose}>
      {children}
      {typed !== undefined && (
        <TextField
          label={t('ui.type', { word: typed })}
          value={word}
          onChange={(event) => setWord(event.target.value)}
        />
      )}
      {state.error !== undefined && <Failure of={state.error} />}
      <DialogFoot>
        <Button onClick={onClose}>{t('ui.cancel')}</Button>
        <Button
          look={danger ? 'danger' : 'main'}
          busy={state.busy}
          disabled={typed !== undefined && word !== typed}
          onClick={confirm}
        >
          {action}
        </Button>
      </DialogFoot>
    </Dialog>
  )
}

type Asking = {
  title: string
  action: string
  danger?: boolean
  wide?: boolean
  /** What is still missing: then there is nothing to submit. */
  incomplete?: boolean
  onSubmit: () => Promise<unknown>
  onClose: () => void
  children: ReactNode
}

/** A form in a dialog: it closes when what it asks for is done, and says why when it is not. */
export function FormDialog({ title, action, danger, wide, incomplete, onSubmit, onClose, children }: Asking) {
  const t = useText()
  const [state, setState] = useState<{ busy: boolean; error?: unknown }>({ busy: false })
  const submit = () => {
    setState({ busy: true })
    onSubmit().then(onClose, (error: unknown) => setState({ busy: false, error }))
  }
  return (
    <Dialog title={title} open onClose={onClose} wide={wide === true}>
      <Form onSubmit={submit} wide={wide === true}>
        {children}
        {state.error !== undefined && <Failure of={state.error} />}
        <DialogFoot>
          <Button onClick={onClose}>{t('ui.cancel')}</Button>
          <Button type="submit" look={danger ? 'danger' : 'main'} busy={state.busy} disabled={incomplete === true}>
            {action}
          </Button>
        </DialogFoot>
      </Form>
    </Dialog>
  )
}
