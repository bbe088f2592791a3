// One segment: who is in it, how it grew, who of them may be reached, and what uses it.
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useParam } from '~/app/params'
import { useMemo, useState } from 'react'
import { api, headers, type Shape } from '~/api/client'
import { download } from '~/api/download'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { nameOf, shown } from '~/pages/people/name'
import { Button, buttonClass } from '~/ui/Button'
import { Chart } from '~/ui/Chart'
import { Confirm } from '~/ui/Dialog'
import { Await, Badge, Card, Empty, Facts, Num, Page, Percent, Section, Share, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { Tabs } from '~/ui/Tabs'
import { useSay } from '~/ui/toast'

const PAGE = 100

/** Members come a line each. */
async function members(name: string, after: string | undefined): Promise<Shape<'Member'>[]> {
  const query = new URLSearchParams({ limit: String(PAGE), ...(after === undefined ? {} : { after }) })
  const answer = await fetch(`/api/v1/segments/${encodeURIComponent(name)}/members?${query}`, { headers: headers() })
  if (!answer.ok) throw await answer.json()
  const lines = (await answer.text()).split('\n')
  return lines.filter(Boolean).map((line) => JSON.parse(line) as Shape<'Member'>)
}

function Members({ name }: { name: string }) {
  const t = useText()
  const asked = useInfiniteQuery({
    queryKey: ['get', '/api/v1/segments/{name}/members', name],
    queryFn: ({ pageParam }) => members(name, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.length < PAGE ? undefined : page.at(-1)?.id),
  })
  return (
    <Await of={asked}>
      {({ pages }) =>
        pages.flat().length === 0 ? (
          <Empty title={t('segments.nobody')} />
        ) : (
          <>
            <Table<Shape<'Member'>>
              label={t('segments.members')}
              rows={pages.flat()}
              rowKey={(one) => one.id}
              columns={[
                {
                  key: 'who',
                  title: t('segments.person'),
                  cell: (one) => (
                    <Link to="/people/$identifier" params={{ identifier: one.id }}>
                      {nameOf(one.identifiers)}
                    </Link>
                  ),
                },
                { key: 'since', title: t('segments.since'), cell: (one) => <Time of={one.since} /> },
              ]}
            />
            {asked.hasNextPage && (
              <Button busy={asked.isFetchingNextPage} onClick={() => void asked.fetchNextPage()}>
                {t('segments.more')}
              </Button>
            )}
          </>
        )
      }
    </Await>
  )
}

function History({ name }: { name: string }) {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/segments/{name}/history', { params: { path: { name } } })
  const days = asked.data
  const series = useMemo(
    () => [{ name: t('segments.people'), points: (days ?? []).map((day) => [day.day, day.size] as const) }],
    [days, t],
  )
  return <Await of={asked}>{() => <Chart label={t('segments.history')} kind="line" series={series} />}</Await>
}

/** One purpose, and whom of the segment it permits. */
function Permitted({ text, purpose, channel }: { text: string; purpose: string; channel?: string }) {
  const t = useText()
  const asked = api.useQuery('post', '/api/v1/consents/reach', {
    body: { text, purpose, ...(channel === undefined ? {} : { channel }) },
  })
  return (
    <Card>
      <h3>
        {purpose} {channel && <Badge>{channel}</Badge>}
      </h3>
      <Await of={asked} lines={2}>
        {({ matching, may, why }) => (
          <>
            <p>
              <Num of={may} /> / <Num of={matching} /> <Share of={matching > 0 ? may / matching : 0} />
            </p>
            <ul>
              {why.map((one) => (
                <li key={`${one.rule} ${one.allowed}`}>
                  <Badge tone={one.allowed ? 'good' : 'warn'}>
                    {one.allowed ? t('segments.may') : t('segments.mayNot')}
                  </Badge>{' '}
                  <Num of={one.count} /> – {one.because}
                </li>
              ))}
            </ul>
          </>
        )}
      </Await>
    </Card>
  )
}

type Policy = { purposes?: Record<string, { channels?: string[] }> } | null | undefined

function Reach({ name }: { name: string }) {
  const t = useText()
  const settings = api.useQuery('get', '/api/v1/settings', {})
  const text = `in segment ${JSON.stringify(name)}`
  return (
    <Await of={settings}>
      {(found) => {
        const purposes = Object.entries((found.consent_policy as Policy)?.purposes ?? {})
        if (purposes.length === 0)
          return <Empty title={t('segments.noPurposes')}>{t('segments.noPurposes.text')}</Empty>
        return purposes.flatMap(([purpose, { channels }]) =>
          channels && channels.length > 0
            ? channels.map((channel) => <Permitted key={`${purpose} ${channel}`} {...{ text, purpose, channel }} />)
            : [<Permitted key={purpose} text={text} purpose={purpose} />],
        )
      }}
    </Await>
  )
}

function Breakdown({ name }: { name: string }) {
  const t = useText()
  const properties = api.useQuery('get', '/api/v1/properties', {})
  const traits = [
    ...new Set((properties.data ?? []).filter((one) => one.scope === 'trait').map((one) => one.name)),
  ].slice(0, 6)
  const asked = api.useQuery(
    'post',
    '/api/v1/segments/preview',
    { body: { text: `in segment ${JSON.stringify(name)}`, by: traits } },
    { enabled: properties.data !== undefined },
  )
  return (
    <Await of={asked}>
      {({ by, count }) =>
        Object.entries(by ?? {}).map(([trait, shares]) => (
          <Section key={trait} title={trait}>
            <Table<Shape<'Share'>>
              label={t('segments.by', { trait })}
              rows={shares.slice(0, 20)}
              rowKey={(one) => JSON.stringify(one.value)}
              columns={[
                {
                  key: 'value',
                  title: trait,
                  cell: (one) => (one.value === null ? t('segments.noValue') : shown(one.value)),
                },
                { key: 'count', title: t('segments.people'), end: true, cell: (one) => <Num of={one.count} /> },
                {
                  key: 'share',
                  title: t('segments.share'),
                  cell: (one) => (
                    <>
                      <Percent of={count > 0 ? one.count / count : 0} />{' '}
                      <Share of={count > 0 ? one.count / count : 0} />
                    </>
                  ),
                },
              ]}
            />
          </Section>
        ))
      }
    </Await>
  )
}

export function Segment() {
  const t = useText()
  const say = useSay()
  const cache = useQueryClient()
  const navigate = useNavigate()
  const { can } = useSession()
  const name = useParam('name')
  const [removing, setRemoving] = useState(false)
  const asked = api.useQuery(
    'get',
    '/api/v1/segments/{name}',
    { params: { path: { name } } },
    { refetchInterval: 5_000 },
  )
  const destinations = api.useQuery('get', '/api/v1/destinations', {}, { enabled: can('destinations.view') })
  const users = (destinations.data ?? []).filter((one) => one.segments.includes(name)).map((one) => one.name)
  const remove = api.useMutation('delete', '/api/v1/segments/{name}')
  const tabs = [
    ...(can('profiles.view')
      ? [{ value: 'members', label: t('segments.members'), content: <Members name={name} /> }]
      : []),
    { value: 'history', label: t('segments.history'), content: <History name={name} /> },
    ...(can('consents.view') && can('settings.view')
      ? [{ value: 'reach', label: t('segments.reach'), content: <Reach name={name} /> }]
      : []),
    ...(can('sources.view')
      ? [{ value: 'breakdown', label: t('segments.breakdown'), content: <Breakdown name={name} /> }]
      : []),
  ]
  const actions = (
    <>
      {can('profiles.export') && (
        <Button
          onClick={() =>
            void download('/api/v1/segments/export', `${name}.csv`, { segment: name }, 'text/csv').catch(say.problem)
          }
        >
          {t('segments.export')}
        </Button>
      )}
      <May do="segments.edit">
        <Link to="/segments/$name/edit" params={{ name }} className={buttonClass()}>
          {t('segments.edit')}
        </Link>
      </May>
      <May do="segments.delete">
        <Button look="danger" onClick={() => setRemoving(true)}>
          {t('segments.remove')}
        </Button>
      </May>
    </>
  )
  return (
    <Page title={name} actions={actions}>
      <Await of={asked}>
        {(segment) => {
          const said = segment.definition as { description?: string; purpose?: string; owner?: string }
          return (
            <>
              <Facts
                of={[
                  [t('segments.people'), <Num key="count" of={segment.count} />],
                  [t('segments.condition'), <code key="text">{segment.text}</code>],
                  [t('segments.version'), `${segment.version} (${segment.state})`],
                  ...(said.description ? [[t('segments.description'), said.description] as const] : []),
                  ...(said.purpose ? [[t('segments.purpose'), said.purpose] as const] : []),
                  ...(said.owner ? [[t('segments.owner'), said.owner] as const] : []),
                  ...(users.length > 0 ? [[t('segments.usedBy'), users.join(', ')] as const] : []),
                ]}
              />
              <Tabs tabs={tabs} />
            </>
          )
        }}
      </Await>
      {removing && (
        <Confirm
          title={t('segments.remove.title', { name })}
          action={t('segments.remove')}
          danger
          onConfirm={async () => {
            await remove.mutateAsync({ params: { path: { name } } })
            say(t('segments.removed', { name }))
            await cache.invalidateQueries({ queryKey: ['get', '/api/v1/segments'] })
            void navigate({ to: '/segments' })
          }}
          onClose={() => setRemoving(false)}
        >
          <p>{users.length > 0 ? t('segments.remove.used', { by: users.join(', ') }) : t('segments.remove.text')}</p>
        </Confirm>
      )}
    </Page>
  )
}
