import type { ComponentProps, ReactNode } from 'react'
import styles from './button.module.css'

export type Look = 'plain' | 'main' | 'danger' | 'quiet'

/** The class of something that looks like a button, such as a link. */
export function buttonClass(look: Look = 'plain'): string {
  return [styles.button, look === 'plain' ? '' : styles[look]].join(' ')
}

type Props = ComponentProps<'button'> & { look?: Look; busy?: boolean }

/** A button. `busy`: what it began goes on; it is not pressed twice. */
export function Button({ look = 'plain', busy = false, disabled, className, children, ...rest }: Props) {
  return (
    <button
      type="button"
      className={`${buttonClass(look)} ${className ?? ''}`}
      disabled={disabled === true || busy}
      aria-busy={busy}
      {...rest}
    >
      {children}
    </button>
  )
}

/** A button that shows an icon alone; `label` says what it does. */
export function IconButton({ label, children, ...rest }: Props & { label: string; children: ReactNode }) {
  return (
    <Button look="quiet" aria-label={label} title={label} className={styles.icon ?? ''} {...rest}>
      {children}
    </Button>
  )
}
