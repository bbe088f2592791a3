// The frame of the pages about data: where they come from, and what can be asked of them.
import type { ReactNode } from 'react'
import { useText } from '~/i18n'
import { Areas } from '~/ui/Areas'

export function Frame({ children }: { children: ReactNode }) {
  const t = useText()
  const pages = [
    { to: '/data/sources', label: t('data.sources'), may: 'sources.view' },
    { to: '/data/imports', label: t('data.imports'), may: 'events.import' },
    { to: '/data/steward', label: t('data.steward'), may: 'linkage.view' },
    { to: '/data/catalogue', label: t('data.catalogue'), may: 'governance.view' },
    { to: '/data/sql', label: t('data.sql'), may: 'sql.ask' },
  ] as const
  return (
    <Areas label={t('data.title')} of={pages}>
      {children}
    </Areas>
  )
}
