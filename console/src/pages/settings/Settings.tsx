// The frame of the settings.
import type { ReactNode } from 'react'
import { useText } from '~/i18n'
import { Areas } from '~/ui/Areas'

export function Frame({ children }: { children: ReactNode }) {
  const t = useText()
  const pages = [
    { to: '/settings/account', label: t('settings.account') },
    { to: '/settings/people', label: t('settings.people'), may: 'people.view' },
    { to: '/settings/keys', label: t('settings.keys'), may: 'people.view' },
    { to: '/settings/policies', label: t('settings.policies'), may: 'people.view' },
    { to: '/settings/workspace', label: t('settings.workspace'), may: 'settings.view' },
    { to: '/settings/system', label: t('settings.system'), may: 'system.view' },
    { to: '/settings/audit', label: t('settings.audit'), may: 'audit.view' },
  ] as const
  return (
    <Areas label={t('settings.title')} of={pages}>
      {children}
    </Areas>
  )
}

/** The roles that come with Onefold; a workspace's own policies may speak of others. */
export const ROLES = ['admin', 'privacy_officer', 'data_steward', 'analyst', 'marketer', 'developer', 'agency'] as const
