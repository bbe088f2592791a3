// Where data go, and how that goes.
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { May } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Await, Badge, Empty, Num, Page } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { SetUp } from './SetUp'

export type Destination = Shape<'DestinationView'>

/** The state in a word: paused, ill (the breaker is open), or at work. */
export function State({ of }: { of: Destination }) {
  const t = useText()
  const isIll = of.deliveries !== null && of.deliveries !== undefined && of.deliveries.breaker !== 'closed'
  if (of.state === 'paused') return <Badge tone="warn">{t('destinations.paused')}</Badge>
  return <Badge tone={isIll ? 'bad' : 'good'}>{isIll ? t('destinations.ill') : t('destinations.active')}</Badge>
}

export function Destinations() {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/destinations', {}, { refetchInterval: 5_000 })
  const number = (key: string, title: string, of: (one: Shape<'DeliveryStatus'>) => number) => ({
    key,
    title,
    end: true,
    cell: ({ deliveries }: Destination) => <Num of={deliveries ? of(deliveries) : 0} />,
    sort: ({ deliveries }: Destination) => (deliveries ? of(deliveries) : 0),
  })
  const [adding, setAdding] = useState(false)
  const add = (
    <May do="destinations.edit">
      <Button look="main" onClick={() => setAdding(true)}>
        {t('destinations.add')}
      </Button>
    </May>
  )
  return (
    <Page title={t('destinations.title')} lead={t('destinations.lead')} actions={add}>
      <Await of={asked}>
        {(destinations) =>
          destinations.length === 0 ? (
            <Empty title={t('destinations.none')} action={add}>
              {t('destinations.none.text')}
            </Empty>
          ) : (
            <Table<Destination>
              label={t('destinations.title')}
              rows={destinations}
              rowKey={(one) => one.name}
              columns={[
                {
                  key: 'name',
                  title: t('destinations.name'),
                  cell: ({ name }) => (
                    <Link to="/destinations/$name" params={{ name }}>
                      {name}
                    </Link>
                  ),
                  sort: (one) => one.name,
                },
                { key: 'kind', title: t('destinations.kind'), cell: (one) => one.kind, sort: (one) => one.kind },
                { key: 'state', title: t('destinations.state'), cell: (one) => <State of={one} /> },
                { key: 'purpose', title: t('destinations.purpose'), cell: (one) => one.purpose },
                {
                  key: 'what',
                  title: t('destinations.gets'),
                  cell: (one) => [...one.segments, ...one.events].join(', '),
                },
                number('delivered', t('destinations.delivered'), (one) => one.delivered),
                number('skipped', t('destinations.skipped'), (one) => one.skipped),
                number('waiting', t('destinations.waiting'), (one) => one.waiting),
                number('dead', t('destinations.dead'), (one) => one.dead_letters),
              ]}
            />
          )
        }
      </Await>
      {adding && <SetUp onClose={() => setAdding(false)} />}
    </Page>
  )
}
