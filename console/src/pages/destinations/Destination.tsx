// One destination: how its deliveries go, what was handed over, and what can be done when it is ill.
import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useParam } from '~/app/params'
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Confirm, FormDialog } from '~/ui/Dialog'
import { Row, TextField, useTexts } from '~/ui/Field'
import { Await, Badge, Empty, Facts, Failure, Notice, Num, Page, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { type Destination as Shown, State } from './Destinations'
import { SetUp } from './SetUp'

/** How a delivery ended: good, kept back, given up. */
const TONE = { delivered: 'good', skipped: 'warn', dead: 'bad' } as const

function Receipts({ name }: { name: string }) {
  const t = useText()
  const params = { path: { name }, query: { limit: 200 } }
  const asked = api.useQuery('get', '/api/v1/destinations/{name}/receipts', { params }, { refetchInterval: 5_000 })
  return (
    <Section title={t('destinations.receipts')}>
      <Await of={asked}>
        {(receipts) =>
          receipts.length === 0 ? (
            <Empty title={t('destinations.noReceipts')} />
          ) : (
            <Table<Shape<'ReceiptView'>>
              label={t('destinations.receipts')}
              rows={receipts}
              rowKey={(one, place) => `${one.key} ${place}`}
              columns={[
                {
                  key: 'at',
                  title: t('destinations.when'),
                  cell: (one) => <Time of={one.at} />,
                  sort: (one) => one.at,
                },
                {
                  key: 'status',
                  title: t('destinations.status'),
                  cell: (one) => <Badge tone={TONE[one.status as keyof typeof TONE] ?? 'plain'}>{one.status}</Badge>,
                  sort: (one) => one.status,
                },
                { key: 'kind', title: t('destinations.kind'), cell: (one) => `${one.kind} ${one.segment}` },
                {
                  key: 'attempts',
                  title: t('destinations.attempts'),
                  end: true,
                  cell: (one) => <Num of={one.attempts} />,
                },
                { key: 'detail', title: t('destinations.detail'), cell: (one) => one.detail },
                { key: 'key', title: t('destinations.key'), cell: (one) => <code>{one.key}</code> },
              ]}
            />
          )
        }
      </Await>
    </Section>
  )
}

/** Puts dead deliveries back: first it is told how many, then it is done. */
function Replay({ name, onClose }: { name: string; onClose: () => void }) {
  const t = useText()
  const say = useSay()
  const { texts, bind } = useTexts({ from: '', to: '' })
  const refresh = useRefresh('/api/v1/destinations', '/api/v1/destinations/{name}/receipts')
  const ask = api.useMutation('post', '/api/v1/destinations/{name}/replay')
  const run = api.useMutation('post', '/api/v1/destinations/{name}/replay', { onSuccess: refresh })
  const time = (text: string) => (text === '' ? '' : new Date(text).toISOString())
  const params = (dry_run: boolean) => ({
    path: { name },
    query: { dry_run, from: time(texts.from), to: time(texts.to) },
  })
  return (
    <FormDialog
      title={t('destinations.replay')}
      action={t('destinations.replay')}
      incomplete={ask.data === undefined || texts.from === '' || texts.to === ''}
      onSubmit={async () => {
        const { replayed } = await run.mutateAsync({ params: params(false) })
        say(t('destinations.replayed', { count: replayed }))
      }}
      onClose={onClose}
    >
      <p>{t('destinations.replay.text')}</p>
      <Row>
        <TextField label={t('destinations.from')} type="datetime-local" {...bind('from')} />
        <TextField label={t('destinations.to')} type="datetime-local" {...bind('to')} />
      </Row>
      <p>
        <Button
          busy={ask.isPending}
          disabled={texts.from === '' || texts.to === ''}
          onClick={() => ask.mutate({ params: params(true) })}
        >
          {t('destinations.replay.count')}
        </Button>
      </p>
      <Failure of={ask.error} />
      {ask.data && (
        <Notice>{t('destinations.replay.would', { count: ask.data.replayed, superseded: ask.data.superseded })}</Notice>
      )}
    </FormDialog>
  )
}

function Actions({ of, refresh }: { of: Shown; refresh: () => void }) {
  const t = useText()
  const say = useSay()
  const navigate = useNavigate()
  const { name } = of
  const [asking, setAsking] = useState<'remove' | 'sync' | 'edit' | 'replay'>()
  const params = { path: { name } }
  const test = api.useMutation('post', '/api/v1/destinations/{name}/test', {
    onSuccess: ({ result }) => say(result),
    onError: say.problem,
  })
  const sync = api.useMutation('post', '/api/v1/destinations/{name}/sync')
  const remove = api.useMutation('delete', '/api/v1/destinations/{name}')
  return (
    <>
      <May do="destinations.use">
        <Button busy={test.isPending} onClick={() => test.mutate({ params })}>
          {t('destinations.test')}
        </Button>
        <Button onClick={() => setAsking('sync')}>{t('destinations.sync')}</Button>
        {(of.deliveries?.dead_letters ?? 0) > 0 && (
          <Button onClick={() => setAsking('replay')}>{t('destinations.replay')}</Button>
        )}
      </May>
      <May do="destinations.edit">
        <Button onClick={() => setAsking('edit')}>{t('destinations.change')}</Button>
      </May>
      <May do="destinations.delete">
        <Button look="danger" onClick={() => setAsking('remove')}>
          {t('destinations.remove')}
        </Button>
      </May>
      {asking === 'sync' && (
        <Confirm
          title={t('destinations.sync')}
          action={t('destinations.sync')}
          onConfirm={async () => {
            await sync.mutateAsync({ params })
            say(t('destinations.synced'))
            refresh()
          }}
          onClose={() => setAsking(undefined)}
        >
          <p>{t('destinations.sync.text')}</p>
        </Confirm>
      )}
      {asking === 'edit' && <SetUp of={of} onClose={() => setAsking(undefined)} />}
      {asking === 'replay' && <Replay name={name} onClose={() => setAsking(undefined)} />}
      {asking === 'remove' && (
        <Confirm
          title={t('destinations.remove.title', { name })}
          action={t('destinations.remove')}
          danger
          typed={name}
          onConfirm={async () => {
            await remove.mutateAsync({ params })
            refresh()
            void navigate({ to: '/destinations' })
          }}
          onClose={() => setAsking(undefined)}
        >
          <p>{t('destinations.remove.text', { count: of.deliveries?.waiting ?? 0 })}</p>
        </Confirm>
      )}
    </>
  )
}

export function Destination() {
  const t = useText()
  const cache = useQueryClient()
  const name = useParam('name')
  const asked = api.useQuery('get', '/api/v1/destinations', {}, { refetchInterval: 5_000 })
  const refresh = () => void cache.invalidateQueries({ queryKey: ['get', '/api/v1/destinations'] })
  const found = asked.data?.find((one) => one.name === name)
  return (
    <Page title={name} actions={found && <Actions of={found} refresh={refresh} />}>
      <Await of={asked}>
        {() =>
          found === undefined ? (
            <Empty title={t('destinations.unknown')} />
          ) : (
            <>
              {found.deliveries && found.deliveries.breaker !== 'closed' && (
                <Notice tone="bad">
                  <strong>{t('destinations.illNow')}</strong>
                  <span>{found.deliveries.last_error}</span>
                  <span>{t('destinations.illNow.text')}</span>
                </Notice>
              )}
              <Facts
                of={[
                  [t('destinations.state'), <State key="state" of={found} />],
                  [t('destinations.kind'), found.kind],
                  [t('destinations.purpose'), found.purpose],
                  [t('destinations.gets'), [...found.segments, ...found.events].join(', ')],
                  [t('destinations.delivered'), <Num key="delivered" of={found.deliveries?.delivered ?? 0} />],
                  [t('destinations.skipped'), <Num key="skipped" of={found.deliveries?.skipped ?? 0} />],
                  [t('destinations.waiting'), <Num key="waiting" of={found.deliveries?.waiting ?? 0} />],
                  [t('destinations.dead'), <Num key="dead" of={found.deliveries?.dead_letters ?? 0} />],
                  [t('destinations.config'), <pre key="config">{JSON.stringify(found.config, null, 2)}</pre>],
                ]}
              />
              <Receipts name={name} />
            </>
          )
        }
      </Await>
    </Page>
  )
}
