import { Menu as Base } from '@base-ui/react/menu'
import type { ReactElement, ReactNode } from 'react'
import styles from './overlay.module.css'

export type Item = { label: ReactNode; onSelect: () => void; disabled?: boolean; chosen?: boolean }
export type Group = { title?: string; items: readonly Item[] }

/** A menu behind a button. */
export function Menu({ trigger, groups }: { trigger: ReactElement; groups: readonly Group[] }) {
  return (
    <Base.Root>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner sideOffset={4} align="end">
          <Base.Popup className={styles.menu ?? ''}>
            {groups.map((group, place) => (
              <Base.Group key={place}>
                {group.title && <Base.GroupLabel className={styles.group ?? ''}>{group.title}</Base.GroupLabel>}
                {group.items.map((item, number) => (
                  <Base.Item
                    key={number}
                    className={styles.item ?? ''}
                    disabled={item.disabled === true}
                    onClick={item.onSelect}
                  >
                    {item.chosen !== undefined && <span aria-hidden="true">{item.chosen ? '✓' : '\u2003'}</span>}
                    {item.label}
                    {item.chosen && <span className="hidden-text">✓</span>}
                  </Base.Item>
                ))}
              </Base.Group>
            ))}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  )
}
