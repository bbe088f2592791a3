// How the workspace stands, what needs a person, and the first steps where there is nothing yet.
import { Link } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { buttonClass } from '~/ui/Button'
import { Await, Figure, Grid, Notice, Num, Page, Percent, Section, Share } from '~/ui/Page'
import { Table } from '~/ui/Table'
import styles from './home.module.css'

/** The console looks again after so long. */
const LOOK_MS = 2_000
/** Purposes of which the reach is counted here; the others are on the page about consent. */
const PURPOSES_SHOWN = 6

type Stats = Shape<'Stats'>

/** Events a second, from two looks at how many were applied. */
function useRate(stats: Stats | undefined): number | undefined {
  const before = useRef<{ applied: number; at: number }>(undefined)
  const [rate, setRate] = useState<number>()
  useEffect(() => {
    if (!stats) return
    const now = { applied: stats.applied, at: performance.now() }
    const then = before.current
    if (then && now.at - then.at < LOOK_MS / 2) return
    if (then) setRate(Math.max(0, ((now.applied - then.applied) * 1000) / (now.at - then.at)))
    before.current = now
  }, [stats])
  return rate
}

function Figures({ stats }: { stats: Stats }) {
  const t = useText()
  const rate = useRate(stats)
  const total = (name: string) => stats.totals[name] ?? 0
  const sum = (of: (one: Shape<'DeliveryStatus'>) => number) => stats.deliveries.reduce((all, one) => all + of(one), 0)
  return (
    <Grid>
      <Figure label={t('home.rate')}>{rate === undefined ? '–' : <Num of={rate} digits={rate < 10 ? 1 : 0} />}</Figure>
      <Figure label={t('home.events')}>
        <Num of={total('events.accepted')} />
      </Figure>
      <Figure label={t('home.profiles')} note={t('home.merges', { count: total('identity.merges') })}>
        <Num of={total('profiles')} />
      </Figure>
      <Figure label={t('home.lag')}>{t('home.lag.events', { count: stats.lag })}</Figure>
      <Figure label={t('home.delivered')} note={t('home.skipped', { count: sum((one) => one.skipped) })}>
        <Num of={sum((one) => one.delivered)} />
      </Figure>
      <Figure label={t('home.waiting')}>
        <Num of={sum((one) => one.waiting)} />
      </Figure>
    </Grid>
  )
}

function Problem({ text, to, action }: { text: string; to: string; action: string }) {
  return (
    <li>
      <Notice tone="warn">
        <span>{text}</span>
        <Link to={to} className={buttonClass()}>
          {action}
        </Link>
      </Notice>
    </li>
  )
}

/** What needs a person, each with where it is put right. */
function Problems({ stats }: { stats: Stats }) {
  const t = useText()
  const { can } = useSession()
  const letters = api.useQuery('get', '/api/v1/dead-letters', {}, { enabled: can('letters.view') })
  const overdue = api.useQuery(
    'get',
    '/api/v1/requests',
    { params: { query: { status: 'overdue' } } },
    { enabled: can('privacy.view') },
  )
  const approvals = api.useQuery('get', '/api/v1/approvals', {}, { enabled: can('governance.approve') })
  const ill = stats.deliveries.filter((one) => one.breaker !== 'closed' || one.dead_letters > 0)
  const refused = letters.data?.filter((one) => one.state !== 'accepted').length ?? 0
  const counted = (what: string, count: number | undefined, to: string) =>
    count === undefined || count === 0 ? [] : [{ text: t(`home.problem.${what}`, { count }), to }]
  const found = [
    ...ill.map((one) => ({
      text: t('home.problem.destination', { name: one.destination, error: one.last_error ?? '–' }),
      to: `/destinations/${encodeURIComponent(one.destination)}`,
    })),
    ...(refused > 0 ? [{ text: t('home.problem.letters', { count: refused }), to: '/live' }] : []),
    ...counted('requests', overdue.data?.length, '/privacy/requests'),
    ...counted('approvals', approvals.data?.filter((one) => one.standing === 'open').length, '/privacy/approvals'),
  ]
  return (
    <Section title={t('home.problems')}>
      {found.length === 0 ? (
        <Notice tone="good">{t('home.problems.none')}</Notice>
      ) : (
        <ul className={styles.problems}>
          {found.map((one) => (
            <Problem key={one.text} {...one} action={t('home.problem.look')} />
          ))}
        </ul>
      )}
    </Section>
  )
}

function Reach({ purpose }: { purpose: string }) {
  const asked = api.useQuery(
    'post',
    '/api/v1/consents/reach',
    { body: { text: 'everyone', purpose } },
    { staleTime: 60_000 },
  )
  if (!asked.data) return <span>…</span>
  const { may, matching } = asked.data
  const share = matching > 0 ? may / matching : 0
  return (
    <span>
      <Num of={may} /> (<Percent of={share} />) <Share of={share} />
    </span>
  )
}

function Consent() {
  const t = useText()
  const settings = api.useQuery('get', '/api/v1/settings', {})
  const policy = settings.data?.consent_policy as { purposes?: Record<string, { title?: string }> } | null | undefined
  const purposes = Object.entries(policy?.purposes ?? {}).slice(0, PURPOSES_SHOWN)
  if (purposes.length === 0) return null
  return (
    <Section title={t('home.consent')}>
      <Table
        label={t('home.consent')}
        rows={purposes}
        rowKey={([name]) => name}
        columns={[
          { key: 'purpose', title: t('home.purpose'), cell: ([name, one]) => one.title ?? name },
          { key: 'may', title: t('home.may'), cell: ([name]) => <Reach purpose={name} /> },
        ]}
      />
    </Section>
  )
}

/** From nothing to data that flow: each step with where it is done, until all are. */
function FirstSteps({ stats }: { stats: Stats }) {
  const t = useText()
  const { can } = useSession()
  const sources = api.useQuery('get', '/api/v1/sources', {}, { enabled: can('sources.view'), refetchInterval: LOOK_MS })
  const segments = api.useQuery('get', '/api/v1/segments', {}, { enabled: can('segments.view') })
  const destinations = api.useQuery('get', '/api/v1/destinations', {}, { enabled: can('destinations.view') })
  const steps = [
    ['source', '/data/sources', (sources.data?.length ?? 0) > 0],
    ['event', '/live', (stats.totals['events.accepted'] ?? 0) > 0],
    ['segment', '/segments/new', (segments.data?.length ?? 0) > 0],
    ['destination', '/destinations', (destinations.data?.length ?? 0) > 0],
  ] as const
  if (steps.every(([, , done]) => done)) return null
  return (
    <Section title={t('home.first')}>
      <ol className={styles.steps}>
        {steps.map(([name, to, done]) => (
          <li key={name} data-done={done}>
            <div>
              <h3>
                {t(`home.first.${name}`)} {done && <span className="hidden-text">{t('home.first.done')}</span>}
              </h3>
              <p>{t(`home.first.${name}.text`)}</p>
            </div>
            {!done && (
              <Link to={to} className={buttonClass('main')}>
                {t('home.first.go')}
                <span className="hidden-text">{t(`home.first.${name}`)}</span>
              </Link>
            )}
          </li>
        ))}
      </ol>
    </Section>
  )
}

export function Home() {
  const t = useText()
  const { workspace, can } = useSession()
  const stats = api.useQuery('get', '/api/v1/stats', {}, { refetchInterval: LOOK_MS })
  return (
    <Page title={t('home.title')} lead={t('home.lead', { workspace })}>
      <Await of={stats}>
        {(found) => (
          <>
            <FirstSteps stats={found} />
            <Figures stats={found} />
            <Problems stats={found} />
            {can('consents.view') && can('settings.view') && <Consent />}
          </>
        )}
      </Await>
    </Page>
  )
}
