import { Toast as Base } from '@base-ui/react/toast'
import type { ReactNode } from 'react'
import { problemOf } from '~/api/client'
import { useText } from '~/i18n'
import { Button } from './Button'
import styles from './overlay.module.css'

function List() {
  const t = useText()
  const { toasts } = Base.useToastManager()
  return (
    <Base.Portal>
      <Base.Viewport className={styles.toasts ?? ''}>
        {toasts.map((toast) => (
          <Base.Root key={toast.id} toast={toast} className={styles.toast ?? ''}>
            <Base.Description />
            <Base.Close render={<Button look="quiet">{t('ui.close')}</Button>} />
          </Base.Root>
        ))}
      </Base.Viewport>
    </Base.Portal>
  )
}

export function Toasts({ children }: { children: ReactNode }) {
  return (
    <Base.Provider>
      {children}
      <List />
    </Base.Provider>
  )
}

/** `say('…')` tells that something was done; `say.problem(error)` what was not, and why. */
export function useSay(): ((text: string) => void) & { problem: (error: unknown) => void } {
  const { add } = Base.useToastManager()
  return Object.assign((text: string) => void add({ description: text }), {
    problem: (error: unknown) => {
      const { message, cure } = problemOf(error)
      add({ description: [message, cure].filter(Boolean).join(' '), type: 'bad', timeout: 0 })
    },
  })
}
