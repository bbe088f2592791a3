// One source: what is done to its events before they are used, how good they are.
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { useParam } from '~/app/params'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Document } from '~/ui/Document'
import { Await, Badge, Empty, Facts, Notice, Num, Page, Percent, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { Tabs } from '~/ui/Tabs'
import { Frame } from './Data'

/** What each step would change, with examples. */
function Trial({ of }: { of: Shape<'Trial'> }) {
  const t = useText()
  return (
    <>
      <Facts
        of={[
          [t('data.trial.events'), <Num key="events" of={of.events} />],
          [t('data.trial.blocked'), <Num key="blocked" of={of.blocked} />],
          [t('data.trial.violating'), <Num key="violating" of={of.violating} />],
        ]}
      />
      {of.violations.map((one) => (
        <Notice key={one.what} tone="warn">
          {one.what} (<Num of={one.events} />)
        </Notice>
      ))}
      {of.steps.map((step, place) => (
        <Section key={place} title={t('data.trial.step', { number: place + 1, name: step.step })}>
          <p>{t('data.trial.changes', { values: step.values, events: step.events })}</p>
          {step.examples.slice(0, 3).map((example, number) => (
            <pre key={number}>{`- ${JSON.stringify(example.before)}\n+ ${JSON.stringify(example.after)}`}</pre>
          ))}
        </Section>
      ))}
    </>
  )
}

function Preparation({ name }: { name: string }) {
  const t = useText()
  const { can } = useSession()
  const params = { path: { name } }
  const asked = api.useQuery('get', '/api/v1/sources/{name}/preparation', { params })
  const refresh = useRefresh('/api/v1/sources/{name}/preparation')
  const set = api.useMutation('put', '/api/v1/sources/{name}/preparation', { onSuccess: refresh })
  const attempt = api.useMutation('post', '/api/v1/sources/{name}/preparation/try')
  const steps = (value: Record<string, unknown>) => (value.steps ?? []) as Record<string, unknown>[]
  return (
    <Await of={asked}>
      {(now) => (
        <>
          {now.waits_for_rebuild && <Notice tone="warn">{t('data.preparation.waits')}</Notice>}
          {now.changed.length > 0 && (
            <Table<Shape<'StepCount'>>
              label={t('data.preparation.changed')}
              rows={now.changed}
              rowKey={(_, place) => place}
              columns={[
                { key: 'step', title: t('data.preparation.step'), cell: (one) => one.step },
                {
                  key: 'values',
                  title: t('data.preparation.values'),
                  end: true,
                  cell: (one) => <Num of={one.values} />,
                },
              ]}
            />
          )}
          {now.violations > 0 && (
            <Notice tone="warn">{t('data.preparation.violations', { count: now.violations })}</Notice>
          )}
          <Document
            label={t('data.preparation')}
            hint={<p>{t('data.preparation.hint')}</p>}
            value={now.preparation ?? { steps: [] }}
            canSave={can('sources.edit')}
            onSave={(value) => {
              const description = value.description
              return set.mutateAsync({
                params,
                body: { steps: steps(value), ...(typeof description === 'string' && { description }) },
              })
            }}
            onTry={async (value) => <Trial of={await attempt.mutateAsync({ params, body: { steps: steps(value) } })} />}
          />
        </>
      )}
    </Await>
  )
}

function Quality({ name }: { name: string }) {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/sources/{name}/quality', { params: { path: { name } } })
  return (
    <Await of={asked}>
      {(report) =>
        report.events === 0 ? (
          <Empty title={t('data.quality.none')}>{t('data.none.text')}</Empty>
        ) : (
          <>
            <Facts
              of={[
                [t('data.quality.events'), <Num key="events" of={report.events} />],
                [t('data.quality.validity'), <Percent key="validity" of={report.validity} />],
              ]}
            />
            <Table<Omit<Shape<'Volume'>, 'odd_days'>>
              label={t('data.quality.volume')}
              rows={report.volume}
              rowKey={(one) => one.event}
              columns={[
                { key: 'event', title: t('data.quality.event'), cell: (one) => one.event, sort: (one) => one.event },
                {
                  key: 'events',
                  title: t('data.quality.count'),
                  end: true,
                  cell: (one) => <Num of={one.events} />,
                  sort: (one) => one.events,
                },
                {
                  key: 'day',
                  title: t('data.quality.day'),
                  end: true,
                  cell: (one) => <Num of={one.per_day} digits={1} />,
                },
                { key: 'last', title: t('data.quality.last'), cell: (one) => <Time of={one.last_ms} /> },
              ]}
            />
            <Table<Shape<'Field'>>
              label={t('data.quality.fields')}
              rows={report.fields}
              rowKey={(one) => `${one.event} ${one.place}`}
              columns={[
                { key: 'event', title: t('data.quality.event'), cell: (one) => one.event, sort: (one) => one.event },
                { key: 'place', title: t('data.quality.field'), cell: (one) => <code>{one.place}</code> },
                { key: 'types', title: t('data.quality.types'), cell: (one) => Object.keys(one.types).join(', ') },
                {
                  key: 'completeness',
                  title: t('data.quality.completeness'),
                  end: true,
                  cell: (one) => <Percent of={one.completeness} />,
                  sort: (one) => one.completeness,
                },
                {
                  key: 'uniqueness',
                  title: t('data.quality.uniqueness'),
                  end: true,
                  cell: (one) => <Percent of={one.uniqueness} />,
                  sort: (one) => one.uniqueness,
                },
                {
                  key: 'drift',
                  title: t('data.quality.drift'),
                  end: true,
                  cell: (one) => <Num of={one.drift} digits={2} />,
                  sort: (one) => one.drift,
                },
                {
                  key: 'findings',
                  title: t('data.quality.findings'),
                  cell: (one) => one.findings?.map((finding) => <Badge key={finding}>{finding}</Badge>),
                },
              ]}
            />
          </>
        )
      }
    </Await>
  )
}

export function Source() {
  const t = useText()
  const name = useParam('name')
  const tabs = [
    { value: 'preparation', label: t('data.preparation'), content: <Preparation name={name} /> },
    { value: 'quality', label: t('data.quality'), content: <Quality name={name} /> },
  ]
  return (
    <Frame>
      <Page title={t('data.source.of', { name })} lead={t('data.source.lead')}>
        <Tabs tabs={tabs} />
      </Page>
    </Frame>
  )
}
