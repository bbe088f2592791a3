// How long things stay: the rules, what they would take today, and who is held.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button, IconButton } from '~/ui/Button'
import { Confirm } from '~/ui/Dialog'
import { Form, listed, Row, SelectField, TextField, useTexts } from '~/ui/Field'
import { Await, Card, Empty, Failure, Num, Page, Section } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame } from './Privacy'

type Rule = Shape<'RetentionRule'>
type Kept = { rules?: Rule[]; hold_segments?: string[]; hold_profiles?: string[] }

const CATEGORIES = ['unresolved', 'known', 'dead_letters', 'deliveries', 'requests'] as const

/** Changed by hand here: days stay a text until they are set. */
type Line = { category: string; days: string; purpose: string }

function Editor({ of }: { of: Kept }) {
  const t = useText()
  const say = useSay()
  const { can } = useSession()
  const refresh = useRefresh('/api/v1/governance/{name}', '/api/v1/retention')
  const save = api.useMutation('put', '/api/v1/governance/{name}', {
    onSuccess: () => {
      say(t('ui.saved'))
      refresh()
    },
  })
  const [lines, setLines] = useState<Line[]>(() =>
    (of.rules ?? []).map(({ category, days, without_purpose }) => ({
      category,
      days: String(days),
      purpose: without_purpose ?? '',
    })),
  )
  const { texts, bind } = useTexts({
    segments: of.hold_segments?.join(', ') ?? '',
    profiles: of.hold_profiles?.join(', ') ?? '',
  })
  const change = (place: number, to: Partial<Line>) =>
    setLines((now) => now.map((line, number) => (number === place ? { ...line, ...to } : line)))
  const submit = () => {
    const [hold_segments, hold_profiles] = [listed(texts.segments), listed(texts.profiles)]
    const rules = lines.map(({ category, days, purpose }) => ({
      category,
      days: Number(days),
      ...(purpose && { without_purpose: purpose }),
    }))
    save.mutate({
      params: { path: { name: 'retention' } },
      body: {
        rules,
        ...(hold_segments.length > 0 && { hold_segments }),
        ...(hold_profiles.length > 0 && { hold_profiles }),
      },
    })
  }
  return (
    <Section
      title={t('privacy.rules')}
      actions={
        <May do="governance.edit">
          <Button onClick={() => setLines((now) => [...now, { category: 'unresolved', days: '365', purpose: '' }])}>
            {t('privacy.rule.add')}
          </Button>
        </May>
      }
    >
      <Card>
        <Form onSubmit={submit} wide>
          {lines.length === 0 && <Empty title={t('privacy.rules.none')}>{t('privacy.rules.none.text')}</Empty>}
          {lines.map((line, place) => (
            <Row key={place}>
              <SelectField
                label={t('privacy.rule.what')}
                options={CATEGORIES.map((value) => ({ value, label: t(`privacy.category.${value}`) }))}
                value={line.category}
                onChange={(event) => change(place, { category: event.target.value, purpose: '' })}
              />
              <TextField
                label={t('privacy.rule.days')}
                type="number"
                min={1}
                value={line.days}
                onChange={(event) => change(place, { days: event.target.value })}
              />
              {(line.category === 'unresolved' || line.category === 'known') && (
                <TextField
                  label={t('privacy.rule.purpose')}
                  value={line.purpose}
                  onChange={(event) => change(place, { purpose: event.target.value })}
                />
              )}
              <IconButton
                label={t('privacy.rule.remove', { number: place + 1 })}
                onClick={() => setLines((now) => now.filter((_, number) => number !== place))}
              >
                ×
              </IconButton>
            </Row>
          ))}
          <Row>
            <TextField label={t('privacy.hold.segments')} hint={t('privacy.hold.hint')} {...bind('segments')} />
            <TextField
              label={t('privacy.hold.profiles')}
              hint={t('privacy.hold.profiles.hint')}
              {...bind('profiles')}
            />
          </Row>
          <Failure of={save.error} />
          {can('governance.edit') && (
            <p>
              <Button type="submit" look="main" busy={save.isPending}>
                {t('ui.save')}
              </Button>
            </p>
          )}
        </Form>
      </Card>
    </Section>
  )
}

function Due() {
  const t = useText()
  const say = useSay()
  const [asking, setAsking] = useState(false)
  const asked = api.useQuery('get', '/api/v1/retention', {})
  const refresh = useRefresh('/api/v1/retention', '/api/v1/privacy/requests')
  const run = api.useMutation('post', '/api/v1/retention', { onSuccess: refresh })
  const due = asked.data?.reduce((all, one) => all + one.count, 0) ?? 0
  return (
    <Section
      title={t('privacy.retention.due')}
      actions={
        <May do="privacy.erase">
          <Button look="danger" disabled={due === 0} onClick={() => setAsking(true)}>
            {t('privacy.retention.run')}
          </Button>
        </May>
      }
    >
      <p>{t('privacy.retention.daily')}</p>
      <Await of={asked}>
        {(rules) =>
          rules.length === 0 ? (
            <Empty title={t('privacy.rules.none')} />
          ) : (
            <Table<Shape<'Expired'>>
              label={t('privacy.retention.due')}
              rows={rules}
              rowKey={(_, place) => place}
              columns={[
                {
                  key: 'what',
                  title: t('privacy.rule.what'),
                  cell: (one) => t(`privacy.category.${one.rule.category}`),
                },
                {
                  key: 'days',
                  title: t('privacy.rule.days'),
                  end: true,
                  cell: (one) => <Num of={one.rule.days} />,
                },
                { key: 'purpose', title: t('privacy.rule.purpose'), cell: (one) => one.rule.without_purpose ?? '–' },
                { key: 'count', title: t('privacy.rule.takes'), end: true, cell: (one) => <Num of={one.count} /> },
                { key: 'held', title: t('privacy.rule.held'), end: true, cell: (one) => <Num of={one.held} /> },
                {
                  key: 'examples',
                  title: t('privacy.examples'),
                  cell: (one) => <code>{one.examples?.slice(0, 3).join(' ') ?? '–'}</code>,
                },
              ]}
            />
          )
        }
      </Await>
      {asking && (
        <Confirm
          title={t('privacy.retention.run')}
          action={t('privacy.retention.run')}
          danger
          onConfirm={async () => {
            await run.mutateAsync({})
            say(t('privacy.retention.ran'))
          }}
          onClose={() => setAsking(false)}
        >
          <p>{t('privacy.retention.ask', { count: due })}</p>
        </Confirm>
      )}
    </Section>
  )
}

export function Retention() {
  const t = useText()
  const params = { path: { name: 'retention' } }
  const asked = api.useQuery('get', '/api/v1/governance/{name}', { params })
  return (
    <Frame>
      <Page title={t('privacy.retention')} lead={t('privacy.retention.lead')}>
        <Await of={asked}>{(kept) => <Editor key={JSON.stringify(kept)} of={kept} />}</Await>
        <Due />
      </Page>
    </Frame>
  )
}
