// Any question, in SQL.
import { lazy, Suspense, useMemo, useState } from 'react'
import { api, type Shape } from '~/api/client'
import { save } from '~/api/download'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Chart } from '~/ui/Chart'
import { SelectField } from '~/ui/Field'
import { Empty, Failure, Loading, Page } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { Frame } from './Data'

const CodeEditor = lazy(() => import('~/ui/CodeEditor').then(({ CodeEditor: editor }) => ({ default: editor })))

/** The tables of docs/sql.md, for completion. */
const TABLES: Record<string, string[]> = {
  events: ['time', 'event', 'type', 'user_id', 'anonymous_id', 'properties', 'traits', 'context', 'profile', 'source'],
  profiles: ['id', 'traits', 'computed', 'first_seen', 'last_seen', 'events'],
  identifiers: ['id', 'kind', 'value', 'first_seen'],
  segment_members: ['id', 'segment', 'since'],
  consents: ['id', 'purpose', 'channel', 'state', 'strength'],
  deliveries: ['id', 'destination', 'status', 'at'],
}

const KEY = 'onefold.sql'
const KEPT = 20
const FIRST = 'SELECT event, count(*) AS events\nFROM events\nGROUP BY event\nORDER BY events DESC'

type Rows = Shape<'Rows'>

const cell = (value: unknown): string =>
  typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value)

/** The rows as CSV (RFC 4180). */
function csv({ columns, rows }: Rows): string {
  const quoted = (value: unknown) => `"${cell(value).replaceAll('"', '""')}"`
  const lines = [columns.map((column) => column.name), ...(rows as unknown[][])]
  return lines.map((line) => line.map(quoted).join(',')).join('\r\n')
}

/** A text and a number beside each other make a picture. */
function Picture({ of }: { of: Rows }) {
  const rows = of.rows as unknown[][]
  const fits = of.columns.length === 2 && rows.length > 1 && rows.length <= 100
  const isNumbers = fits && rows.every(([, value]) => Number.isFinite(Number(value)))
  const series = useMemo(
    () => [
      { name: of.columns[1]?.name ?? '', points: rows.map(([name, value]) => [cell(name), Number(value)] as const) },
    ],
    [of.columns, rows],
  )
  return isNumbers ? <Chart label={of.columns[0]?.name ?? ''} kind="bar" series={series} /> : null
}

export function Sql() {
  const t = useText()
  const [history, setHistory] = useState<string[]>(() => JSON.parse(localStorage.getItem(KEY) ?? '[]') as string[])
  const [sql, setSql] = useState(history[0] ?? FIRST)
  const ask = api.useMutation('post', '/api/v1/sql')
  const run = () => {
    const kept = [sql, ...history.filter((one) => one !== sql)].slice(0, KEPT)
    setHistory(kept)
    localStorage.setItem(KEY, JSON.stringify(kept))
    ask.mutate({ body: { sql } })
  }
  return (
    <Frame>
      <Page title={t('data.sql')} lead={t('data.sql.lead')}>
        <Suspense fallback={<Loading />}>
          <CodeEditor label={t('data.sql.query')} value={sql} onChange={setSql} onSubmit={run} tables={TABLES} />
        </Suspense>
        <div style={{ display: 'flex', gap: 'var(--s3)', alignItems: 'end', flexWrap: 'wrap' }}>
          <Button look="main" busy={ask.isPending} onClick={run}>
            {t('data.sql.run')}
          </Button>
          {history.length > 0 && (
            <SelectField
              label={t('data.sql.history')}
              value=""
              onChange={(event) => setSql(event.target.value)}
              options={[
                { value: '', label: '–' },
                ...history.map((one) => ({ value: one, label: one.replaceAll(/\s+/g, ' ').slice(0, 80) })),
              ]}
            />
          )}
        </div>
        <Failure of={ask.error} />
        {ask.data && (
          <>
            <p>
              {t('data.sql.found', { count: ask.data.rows.length, ms: ask.data.elapsed_ms })}{' '}
              <Button onClick={() => ask.data && save(new Blob([csv(ask.data)], { type: 'text/csv' }), 'onefold.csv')}>
                {t('data.sql.csv')}
              </Button>
            </p>
            {ask.data.rows.length === 0 ? (
              <Empty title={t('data.sql.none')} />
            ) : (
              <Table<unknown[]>
                label={t('data.sql.result')}
                rows={ask.data.rows}
                rowKey={(_, place) => place}
                columns={ask.data.columns.map((column, place) => ({
                  key: `${place} ${column.name}`,
                  title: column.name,
                  cell: (row) => cell(row[place]),
                  sort: (row) => (typeof row[place] === 'number' ? row[place] : cell(row[place])),
                }))}
              />
            )}
            <Picture of={ask.data} />
          </>
        )}
      </Page>
    </Frame>
  )
}
