// The record of processing activities (GDPR, Article 30), and who was exposed to a destination (Articles 33, 34).
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { save } from '~/api/download'
import { May } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Form, Row, TextField, useTexts } from '~/ui/Field'
import { Await, Empty, Facts, Failure, Notice, Num, Page, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { Frame } from './Privacy'

type Activity = Shape<'Processing'>

/** A value of the report that may be a text or texts by name. */
function said(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map(said).join(', ')
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([name, one]) => `${name}: ${said(one)}`)
      .join('; ')
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '–'
}

function Exposure() {
  const t = useText()
  const { texts, bind } = useTexts({ destination: '', from: '', to: '' })
  const [query, setQuery] = useState<{ destination: string; from: string; to: string }>()
  const params = { query: query ?? { destination: '', from: '', to: '' } }
  const asked = api.useQuery('get', '/api/v1/reports/exposure', { params }, { enabled: query !== undefined })
  const isWhole = texts.destination.trim() !== '' && texts.from !== '' && texts.to !== ''
  return (
    <Section title={t('privacy.exposure')}>
      <p>{t('privacy.exposure.text')}</p>
      <Form onSubmit={() => setQuery({ destination: texts.destination.trim(), from: texts.from, to: texts.to })} wide>
        <Row>
          <TextField label={t('privacy.destination')} {...bind('destination')} />
          <TextField label={t('privacy.from')} type="date" {...bind('from')} />
          <TextField label={t('privacy.to')} type="date" {...bind('to')} />
          <Button type="submit" busy={asked.isFetching} disabled={!isWhole}>
            {t('privacy.ask')}
          </Button>
        </Row>
      </Form>
      <Failure of={asked.error} />
      {asked.data && (
        <Facts
          of={[
            [t('privacy.exposure.people'), <Num key="people" of={asked.data.people} />],
            [t('privacy.exposure.deliveries'), <Num key="deliveries" of={asked.data.deliveries} />],
            [t('privacy.exposure.about'), said(asked.data.about)],
            [
              t('privacy.exposure.profiles'),
              <code key="who">{asked.data.profiles.slice(0, 20).join(' ') || '–'}</code>,
            ],
          ]}
        />
      )}
    </Section>
  )
}

export function Processing() {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/reports/processing', {})
  const keep = () =>
    save(new Blob([JSON.stringify(asked.data, null, 2)], { type: 'application/json' }), 'processing.json')
  return (
    <Frame>
      <Page
        title={t('privacy.processing')}
        lead={t('privacy.processing.lead')}
        actions={
          <>
            <Button disabled={!asked.data} onClick={keep}>
              {t('privacy.processing.save')}
            </Button>
            <Button disabled={!asked.data} onClick={() => window.print()}>
              {t('privacy.processing.print')}
            </Button>
          </>
        }
      >
        <Await of={asked}>
          {(record) => (
            <>
              <Facts
                of={[
                  [t('privacy.processing.at'), <Time key="at" of={record.at} exact />],
                  [t('privacy.processing.people'), <Num key="people" of={record.people} />],
                  [t('privacy.processing.sources'), record.sources.join(', ') || '–'],
                ]}
              />
              {record.undeclared.length > 0 && (
                <Notice tone="warn">
                  <strong>{t('privacy.processing.undeclared', { count: record.undeclared.length })}</strong>
                  <span>{record.undeclared.join(', ')}</span>
                </Notice>
              )}
              {record.processing.length === 0 ? (
                <Empty title={t('privacy.purposes.none')}>{t('privacy.purposes.none.text')}</Empty>
              ) : (
                <Table<Activity>
                  label={t('privacy.processing')}
                  rows={record.processing}
                  rowKey={(one) => one.purpose}
                  columns={[
                    { key: 'purpose', title: t('privacy.purpose'), cell: (one) => one.title ?? one.purpose },
                    { key: 'what', title: t('privacy.processing.what'), cell: (one) => one.description ?? '–' },
                    { key: 'basis', title: t('privacy.basis'), cell: (one) => said(one.basis) },
                    { key: 'data', title: t('privacy.processing.data'), cell: (one) => said(one.data) },
                    {
                      key: 'recipients',
                      title: t('privacy.processing.recipients'),
                      cell: (one) => one.recipients.map((to) => to.destination).join(', ') || '–',
                    },
                    { key: 'notice', title: t('privacy.notice'), cell: (one) => one.notice ?? '–' },
                  ]}
                />
              )}
              <Section title={t('privacy.processing.safeguards')}>
                <ul>
                  {record.safeguards.map((one) => (
                    <li key={one}>{one}</li>
                  ))}
                </ul>
              </Section>
            </>
          )}
        </Await>
        <May do="privacy.answer">
          <Exposure />
        </May>
      </Page>
    </Frame>
  )
}
