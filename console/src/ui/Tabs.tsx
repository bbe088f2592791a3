import { Tabs as Base } from '@base-ui/react/tabs'
import type { ReactNode } from 'react'
import styles from './overlay.module.css'
import pageStyles from './page.module.css'

export type Tab = { value: string; label: ReactNode; content: ReactNode }

/** Parts of a page, one shown at a time. */
export function Tabs({
  tabs,
  value,
  onChange,
}: {
  tabs: readonly Tab[]
  value?: string
  onChange?: (value: string) => void
}) {
  return (
    <Base.Root
      className={pageStyles.section ?? ''}
      {...(value === undefined ? { defaultValue: tabs[0]?.value ?? null } : { value })}
      onValueChange={(next) => onChange?.(String(next))}
    >
      <Base.List className={styles.tabs ?? ''}>
        {tabs.map((tab) => (
          <Base.Tab key={tab.value} value={tab.value}>
            {tab.label}
          </Base.Tab>
        ))}
      </Base.List>
      {tabs.map((tab) => (
        <Base.Panel key={tab.value} value={tab.value} className={pageStyles.section ?? ''}>
          {tab.content}
        </Base.Panel>
      ))}
    </Base.Root>
  )
}

/** Links that look like tabs: pages of one area. */
export function TabLinks({ label, children }: { label: string; children: ReactNode }) {
  return (
    <nav className={styles.tabs} aria-label={label}>
      {children}
    </nav>
  )
}
