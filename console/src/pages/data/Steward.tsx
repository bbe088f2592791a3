// The steward's queue: records that may be one person, profiles that may be two, values that contradict each other, and the models.
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { shown } from '~/pages/people/name'
import { Button } from '~/ui/Button'
import { Confirm } from '~/ui/Dialog'
import { Await, Badge, Card, Empty, Facts, Failure, Num, Page, Percent, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { Tabs } from '~/ui/Tabs'
import { useSay } from '~/ui/toast'
import { Frame } from './Data'

type Pair = Omit<Shape<'LinkView'>, 'parts'>

const DECISIONS = ['accept', 'reject', 'never'] as const

function Person({ of }: { of: Shape<'Side'> }) {
  return (
    <Link to="/people/$identifier" params={{ identifier: of.profile }}>
      {of.identifier}
    </Link>
  )
}

/** Why two records have their weight, part by part. */
function Why({ a, b }: { a: string; b: string }) {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/linkage/explain', { params: { query: { a, b } } })
  return (
    <Await of={asked}>
      {(why) => (
        <Table<Shape<'Part'>>
          label={t('data.steward.why')}
          rows={why.parts}
          rowKey={(one, place) => `${one.name} ${place}`}
          columns={[
            { key: 'name', title: t('data.steward.compared'), cell: (one) => one.name },
            { key: 'values', title: t('data.steward.values'), cell: (one) => one.values.join(' · ') || '–' },
            { key: 'level', title: t('data.steward.level'), cell: (one) => one.level },
            { key: 'bits', title: t('data.steward.bits'), end: true, cell: (one) => <Num of={one.bits} digits={1} /> },
          ]}
        />
      )}
    </Await>
  )
}

function Doubt({ of, refresh }: { of: Pair; refresh: () => void }) {
  const t = useText()
  const say = useSay()
  const { can } = useSession()
  const [open, setOpen] = useState(false)
  const decide = api.useMutation('post', '/api/v1/linkage/decide', { onSuccess: refresh, onError: say.problem })
  const [a, b] = [of.a.identifier, of.b.identifier]
  return (
    <Card>
      <p>
        <Person of={of.a} /> – <Person of={of.b} />{' '}
        <Badge tone="accent">
          <Percent of={of.probability} />
        </Badge>{' '}
        {of.one_profile && <Badge>{t('data.steward.one')}</Badge>}
      </p>
      <p>
        {can('linkage.edit') &&
          DECISIONS.map((decision) => (
            <Button
              key={decision}
              look={decision === 'accept' ? 'main' : 'plain'}
              busy={decide.isPending}
              onClick={() => decide.mutate({ body: { a, b, decision } })}
            >
              {t(`data.steward.${decision}`)}
              <span className="hidden-text">
                {a} {b}
              </span>
            </Button>
          ))}
        <Button look="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
          {t('data.steward.why')}
          <span className="hidden-text">
            {a} {b}
          </span>
        </Button>
      </p>
      {open && <Why a={a} b={b} />}
    </Card>
  )
}

function Queue() {
  const t = useText()
  const params = { query: { state: 'doubt', limit: 50 } }
  const asked = api.useQuery('get', '/api/v1/linkage/queue', { params })
  const refresh = useRefresh('/api/v1/linkage/queue')
  return (
    <Await of={asked}>
      {(pairs) =>
        pairs.length === 0 ? (
          <Empty title={t('data.steward.none')}>{t('data.steward.none.text')}</Empty>
        ) : (
          pairs.map((one) => <Doubt key={`${one.a.identifier} ${one.b.identifier}`} of={one} refresh={refresh} />)
        )
      }
    </Await>
  )
}

function Suspects() {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/linkage/suspects', { params: { query: { limit: 50 } } }, { retry: false })
  return (
    <Await of={asked}>
      {(suspects) =>
        suspects.length === 0 ? (
          <Empty title={t('data.steward.suspects.none')} />
        ) : (
          <Table<Shape<'SuspectView'>>
            label={t('data.steward.suspects')}
            rows={suspects}
            rowKey={(one) => `${one.a} ${one.b}`}
            columns={[
              {
                key: 'profile',
                title: t('data.steward.profile'),
                cell: (one) => (
                  <Link to="/people/$identifier" params={{ identifier: one.profile }}>
                    {one.profile}
                  </Link>
                ),
              },
              { key: 'records', title: t('data.steward.records'), cell: (one) => `${one.a} – ${one.b}` },
              { key: 'doubt', title: t('data.steward.doubt'), cell: (one) => t(`data.steward.${one.doubt}`) },
              {
                key: 'bits',
                title: t('data.steward.bits'),
                end: true,
                cell: (one) => <Num of={one.why.bits} digits={1} />,
                sort: (one) => one.why.bits,
              },
            ]}
          />
        )
      }
    </Await>
  )
}

function Conflicts() {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/conflicts', { params: { query: { limit: 100 } } })
  return (
    <Await of={asked}>
      {({ conflicts }) =>
        conflicts.length === 0 ? (
          <Empty title={t('data.steward.conflicts.none')} />
        ) : (
          <Table<Shape<'Conflict'>>
            label={t('data.steward.conflicts')}
            rows={conflicts}
            rowKey={(one) => `${one.id} ${one.trait}`}
            columns={[
              {
                key: 'profile',
                title: t('data.steward.profile'),
                cell: (one) => (
                  <Link to="/people/$identifier" params={{ identifier: one.id }}>
                    {one.id}
                  </Link>
                ),
              },
              { key: 'trait', title: t('data.steward.trait'), cell: (one) => one.trait, sort: (one) => one.trait },
              { key: 'value', title: t('data.steward.counts'), cell: (one) => shown(one.value) },
              { key: 'rule', title: t('data.steward.rule'), cell: (one) => one.rule },
              {
                key: 'said',
                title: t('data.steward.said'),
                cell: (one) => one.records.map((record) => `${record.source}: ${shown(record.value)}`).join(' · '),
              },
            ]}
          />
        )
      }
    </Await>
  )
}

function Models() {
  const t = useText()
  const say = useSay()
  const { can } = useSession()
  const asked = api.useQuery('get', '/api/v1/linkage/models', {})
  const refresh = useRefresh('/api/v1/linkage/models', '/api/v1/linkage/queue')
  const train = api.useMutation('post', '/api/v1/linkage/models', { onSuccess: refresh })
  const activate = api.useMutation('put', '/api/v1/linkage/active')
  const [asking, setAsking] = useState<number | null>()
  const make = (
    <May do="linkage.edit">
      <Button look="main" busy={train.isPending} onClick={() => train.mutate({ body: {} })}>
        {t('data.steward.train')}
      </Button>
    </May>
  )
  const would = train.data?.would
  return (
    <Section title={t('data.steward.models')} actions={make}>
      <Failure of={train.error} />
      {would && (
        <Card>
          <h3>{t('data.steward.would', { version: train.data?.version ?? 0 })}</h3>
          <Facts
            of={[
              [t('data.steward.records'), <Num key="records" of={would.records} />],
              [t('data.steward.people'), <Num key="people" of={would.people} />],
              [t('data.steward.joined'), <Num key="joined" of={would.joined} />],
              [t('data.steward.doubtful'), <Num key="doubtful" of={would.doubtful} />],
              [t('data.steward.largest'), <Num key="largest" of={would.largest} />],
            ]}
          />
        </Card>
      )}
      <Await of={asked}>
        {(models) =>
          models.length === 0 ? (
            <Empty title={t('data.steward.models.none')}>{t('data.steward.models.none.text')}</Empty>
          ) : (
            <Table<Shape<'ModelView'>>
              label={t('data.steward.models')}
              rows={models}
              rowKey={(one) => one.version}
              columns={[
                { key: 'version', title: t('data.steward.version'), end: true, cell: (one) => one.version },
                { key: 'at', title: t('data.since'), cell: (one) => <Time of={one.created} /> },
                {
                  key: 'records',
                  title: t('data.steward.records'),
                  end: true,
                  cell: (one) => <Num of={one.records} />,
                },
                {
                  key: 'state',
                  title: t('data.state'),
                  cell: (one) => one.active && <Badge tone="good">{t('data.steward.active')}</Badge>,
                },
                {
                  key: 'action',
                  title: t('data.action'),
                  cell: (one) =>
                    can('linkage.edit') && (
                      <Button look="quiet" onClick={() => setAsking(one.active ? null : one.version)}>
                        {one.active ? t('data.steward.deactivate') : t('data.steward.activate')}
                        <span className="hidden-text">{one.version}</span>
                      </Button>
                    ),
                },
              ]}
            />
          )
        }
      </Await>
      {asking !== undefined && (
        <Confirm
          title={asking === null ? t('data.steward.deactivate') : t('data.steward.activate')}
          action={asking === null ? t('data.steward.deactivate') : t('data.steward.activate')}
          danger={asking === null}
          onConfirm={async () => {
            const { joined, doubtful } = await activate.mutateAsync({ body: { version: asking } })
            say(t('data.steward.activated', { joined, doubtful }))
            refresh()
          }}
          onClose={() => setAsking(undefined)}
        >
          <p>{asking === null ? t('data.steward.deactivate.text') : t('data.steward.activate.text')}</p>
        </Confirm>
      )}
    </Section>
  )
}

export function Steward() {
  const t = useText()
  const { can } = useSession()
  const tabs = [
    { value: 'queue', label: t('data.steward.queue'), content: <Queue /> },
    { value: 'suspects', label: t('data.steward.suspects'), content: <Suspects /> },
    ...(can('profiles.view')
      ? [{ value: 'conflicts', label: t('data.steward.conflicts'), content: <Conflicts /> }]
      : []),
    { value: 'models', label: t('data.steward.models'), content: <Models /> },
  ]
  return (
    <Frame>
      <Page title={t('data.steward')} lead={t('data.steward.lead')}>
        <Tabs tabs={tabs} />
      </Page>
    </Frame>
  )
}
