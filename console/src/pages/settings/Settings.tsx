// The frame of the settings.
import type { ReactNode } from 'react'
import { useText } from '~/i18n'
import { Areas } from '~/ui/Areas'

export function Frame({ children }: { children: ReactNode }) {
  const t = useText()
  const pages = [
    { to: '/settings/account', label: t('settings.account') },
    { to: '/settings/audit', label: t('settings.audit'), may: 'audit.view' },
  ] as const
  return (
    <Areas label={t('settings.title')} of={pages}>
      {children}
    </Areas>
  )
}
