// A table of any length: only the rows in sight are in the document, and their number is told to who does not see them.
import { useVirtualizer } from '@tanstack/react-virtual'
import { type ReactNode, useMemo, useRef, useState } from 'react'
import { useText } from '~/i18n'
import styles from './table.module.css'

export type Column<Row> = {
  key: string
  title: ReactNode
  cell: (row: Row) => ReactNode
  /** By what the table is sorted when the head of the column is pressed. */
  sort?: (row: Row) => string | number
  /** Numbers stand at the end. */
  end?: boolean
  width?: string
}

type Props<Row> = {
  /** What the table shows, for who does not see it. */
  label: string
  rows: readonly Row[]
  columns: readonly Column<Row>[]
  rowKey: (row: Row, place: number) => string | number
}

/** Beyond so many rows only those in sight are drawn, all of one height. */
const VIRTUAL_FROM = 200
const ROW_PX = 38

function compare(a: string | number, b: string | number): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b))
}

export function Table<Row>({ label, rows, columns, rowKey }: Props<Row>) {
  const t = useText()
  const frame = useRef<HTMLDivElement>(null)
  const [order, setOrder] = useState<{ key: string; down: boolean }>()
  const sorted = useMemo(() => {
    const by = columns.find((column) => column.key === order?.key)?.sort
    if (!by || !order) return rows
    return [...rows].sort((a, b) => (order.down ? -1 : 1) * compare(by(a), by(b)))
  }, [rows, columns, order])
  const isVirtual = rows.length > VIRTUAL_FROM
  const virtual = useVirtualizer({
    count: isVirtual ? rows.length : 0,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  })
  const shown = isVirtual ? virtual.getVirtualItems().map((item) => item.index) : sorted.map((_, place) => place)
  const first = shown[0] ?? 0
  const last = shown.at(-1) ?? -1
  const spacer = (rowsOut: number, side: string) =>
    rowsOut > 0 && (
      <tr key={side}>
        <td colSpan={columns.length} style={{ height: rowsOut * ROW_PX, padding: 0, border: 0 }} />
      </tr>
    )
  return (
    // A region that scrolls must be reachable by keyboard.
    <section className={styles.frame} ref={frame} aria-label={label} tabIndex={0}>
      <table className={`${styles.table} ${isVirtual ? styles.fixed : ''}`} aria-rowcount={rows.length + 1}>
        <caption className="hidden-text">
          {label} – {t('ui.rows', { count: rows.length })}
        </caption>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column) => {
              const sortedBy = order?.key === column.key
              const mark = sortedBy ? (order.down ? ' ↓' : ' ↑') : ''
              return (
                <th
                  key={column.key}
                  scope="col"
                  className={column.end ? styles.end : ''}
                  style={column.width ? { width: column.width } : {}}
                  {...(sortedBy ? { 'aria-sort': order.down ? 'descending' : 'ascending' } : {})}
                >
                  {column.sort ? (
                    <button type="button" onClick={() => setOrder({ key: column.key, down: sortedBy && !order.down })}>
                      {column.title}
                      <span aria-hidden="true">{mark}</span>
                    </button>
                  ) : (
                    column.title
                  )}
                </th>
              )
            })}
          </tr>
        </thead>
        <tbody>
          {spacer(first, 'before')}
          {shown.map((place) => {
            const row = sorted[place] as Row
            return (
              <tr key={rowKey(row, place)} aria-rowindex={place + 2} style={isVirtual ? { height: ROW_PX } : {}}>
                {columns.map((column) => (
                  <td key={column.key} className={column.end ? styles.end : ''}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            )
          })}
          {spacer(rows.length - 1 - last, 'after')}
        </tbody>
      </table>
    </section>
  )
}
