// What pages are made of: head, sections, figures, facts, badges, and the states of what is not there.
import { type ReactNode, useEffect } from 'react'
import { FormattedDate, FormattedNumber, FormattedRelativeTime } from 'react-intl'
import { type ApiError, problemOf } from '~/api/client'
import { useText } from '~/i18n'
import { Button } from './Button'
import styles from './page.module.css'

export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'accent'
const tone = (name: Tone): string => (name === 'plain' ? '' : (styles[name] ?? ''))

/** A page: its title (the document's as well), a sentence about it, what can be done. */
export function Page({
  title,
  lead,
  actions,
  children,
}: {
  title: string
  lead?: ReactNode
  actions?: ReactNode
  children: ReactNode
}) {
  useEffect(() => {
    document.title = `${title} – Onefold`
  }, [title])
  return (
    <div className={styles.page}>
      <header className={styles.head}>
        <div>
          <h1>{title}</h1>
          {lead && <p>{lead}</p>}
        </div>
        {actions && <div className={styles.actions}>{actions}</div>}
      </header>
      {children}
    </div>
  )
}

/** A part of a page, with a heading. */
export function Section({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  return (
    <section className={styles.section}>
      <header>
        <h2>{title}</h2>
        {actions && <div className={styles.actions}>{actions}</div>}
      </header>
      {children}
    </section>
  )
}

export function Card({ children }: { children: ReactNode }) {
  return <div className={styles.card}>{children}</div>
}

/** Cards or figures side by side. */
export function Grid({ children }: { children: ReactNode }) {
  return <div className={styles.grid}>{children}</div>
}

/** One number and what it is. */
export function Figure({ label, children, note }: { label: string; children: ReactNode; note?: ReactNode }) {
  return (
    <div className={styles.figure}>
      <span>{label}</span>
      <b>{children}</b>
      {note && <span>{note}</span>}
    </div>
  )
}

/** Names and values. */
export function Facts({ of }: { of: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className={styles.facts}>
      {of.map(([name, value]) => (
        <div key={name} style={{ display: 'contents' }}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

export function Badge({ tone: name = 'plain', children }: { tone?: Tone; children: ReactNode }) {
  return <span className={`${styles.badge} ${tone(name)}`}>{children}</span>
}

/** Something to be told, with what can be done. */
export function Notice({ tone: name = 'plain', children }: { tone?: Tone; children: ReactNode }) {
  return <div className={`${styles.notice} ${tone(name)}`}>{children}</div>
}

/** Nothing is there yet: what would be here, and how to get it. */
export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className={styles.empty}>
      <h3>{title}</h3>
      {children && <p>{children}</p>}
      {action}
    </div>
  )
}

export function Loading({ lines = 4 }: { lines?: number }) {
  const t = useText()
  return (
    <div className={styles.loading} role="status">
      <span className="hidden-text">{t('ui.loading')}</span>
      {Array.from({ length: lines }, (_, line) => (
        <i key={line} style={{ width: `${90 - ((line * 23) % 50)}%` }} />
      ))}
    </div>
  )
}

/** What went wrong, and what to do: the server's own words. Nothing, where nothing did. */
export function Failure({ of, retry }: { of: unknown; retry?: () => void }) {
  const t = useText()
  if (of === null || of === undefined) return null
  const problem: ApiError = problemOf(of)
  const known = problem.code === 'unreachable' || problem.code === 'forbidden'
  const title = known ? t(`ui.failure.${problem.code}`) : problem.message || t('ui.failure.unexpected')
  const cure = known ? t(`ui.cure.${problem.code}`) : problem.cure
  return (
    <div role="alert" className={`${styles.notice} ${styles.bad}`}>
      <strong>{title}</strong>
      {known && problem.message && <span>{problem.message}</span>}
      {cure && <span>{cure}</span>}
      {problem.problems && problem.problems.length > 0 && (
        <ul style={{ margin: 0 }}>
          {problem.problems.map((one) => (
            <li key={one}>{one}</li>
          ))}
        </ul>
      )}
      {retry && <Button onClick={retry}>{t('ui.retry')}</Button>}
    </div>
  )
}

type Asked<Data> = { data: Data | undefined; error: unknown; refetch: () => unknown }

/** The data of a query, or the state it is in. */
export function Await<Data>({
  of,
  lines,
  children,
}: {
  of: Asked<Data>
  lines?: number
  children: (data: Data) => ReactNode
}) {
  if (of.data !== undefined) return <>{children(of.data)}</>
  if (of.error) return <Failure of={of.error} retry={() => void of.refetch()} />
  return <Loading {...(lines === undefined ? {} : { lines })} />
}

export function Num({ of, digits = 0 }: { of: number; digits?: number }) {
  return <FormattedNumber value={of} maximumFractionDigits={digits} />
}

export function Percent({ of }: { of: number }) {
  return <FormattedNumber value={of} style="percent" maximumFractionDigits={1} />
}

const UNITS = [
  ['second', 60],
  ['minute', 60],
  ['hour', 24],
  ['day', 30],
] as const

/** An instant, as people say it; the whole of it as a title. ISO 8601, or milliseconds since 1970. */
export function Time({ of, exact = false }: { of: string | number; exact?: boolean }) {
  const at = new Date(of)
  let passed = (at.getTime() - Date.now()) / 1000
  const iso = Number.isNaN(at.getTime()) ? String(of) : at.toISOString()
  if (exact || Math.abs(passed) > 30 * 86_400 || Number.isNaN(passed))
    return (
      <time dateTime={iso} title={iso}>
        <FormattedDate value={at} dateStyle="medium" {...(exact ? { timeStyle: 'medium' as const } : {})} />
      </time>
    )
  let unit: 'second' | 'minute' | 'hour' | 'day' = 'second'
  for (const [name, size] of UNITS) {
    unit = name
    if (Math.abs(passed) < size) break
    if (name !== 'day') passed /= size
  }
  return (
    <time dateTime={iso} title={iso}>
      <FormattedRelativeTime value={Math.round(passed)} unit={unit} numeric="auto" />
    </time>
  )
}

/** A share of a whole, 0 to 1, drawn; the number stands beside it for who does not see it. */
export function Share({ of }: { of: number }) {
  return (
    <span className={styles.share} aria-hidden="true">
      <i style={{ width: `${Math.max(0, Math.min(1, of)) * 100}%` }} />
    </span>
  )
}
