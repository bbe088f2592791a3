// The frame of the pages about privacy.
import type { ReactNode } from 'react'
import { useText } from '~/i18n'
import { Areas } from '~/ui/Areas'

export function Frame({ children }: { children: ReactNode }) {
  const t = useText()
  const pages = [
    { to: '/privacy/consent', label: t('privacy.consent'), may: 'consents.view' },
    { to: '/privacy/requests', label: t('privacy.requests'), may: 'privacy.view' },
    { to: '/privacy/erasures', label: t('privacy.erasures'), may: 'privacy.view' },
    { to: '/privacy/retention', label: t('privacy.retention'), may: 'governance.view' },
    { to: '/privacy/processing', label: t('privacy.processing'), may: 'governance.view' },
    { to: '/privacy/approvals', label: t('privacy.approvals'), may: 'governance.view' },
  ] as const
  return (
    <Areas label={t('privacy.title')} of={pages}>
      {children}
    </Areas>
  )
}
