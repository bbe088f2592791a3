// The pages of an area, as links above each of them; only those that one may see.
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { type Action, useSession } from '~/app/session'
import { TabLinks } from './Tabs'

export type Area = { to: string; label: string; may?: Action }

export function Areas({ label, of, children }: { label: string; of: readonly Area[]; children: ReactNode }) {
  const { can } = useSession()
  return (
    <>
      <TabLinks label={label}>
        {of
          .filter(({ may }) => may === undefined || can(may))
          .map(({ to, label: name }) => (
            <Link key={to} to={to}>
              {name}
            </Link>
          ))}
      </TabLinks>
      {children}
    </>
  )
}
