// What people ask for under privacy law, and by when it is to be answered.
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { FormDialog } from '~/ui/Dialog'
import { listed, Row, SelectField, TextArea, TextField, useTexts } from '~/ui/Field'
import { Await, Badge, Empty, Num, Page, Section, Time, type Tone } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { Frame } from './Privacy'

export type Case = Shape<'CaseView'>

const KINDS = [
  'access',
  'portability',
  'rectify',
  'erase',
  'restrict',
  'object',
  'opt_out_of_sale',
  'limit_sensitive',
  'no_automated',
] as const satisfies readonly Shape<'Kind'>[]

const TONES: Record<Shape<'Status'>, Tone> = {
  unverified: 'warn',
  pending: 'accent',
  in_progress: 'accent',
  completed: 'good',
  completed_with_exceptions: 'warn',
  cancelled: 'plain',
}

export function Status({ of }: { of: Shape<'Status'> }) {
  return <Badge tone={TONES[of]}>{useText()(`privacy.status.${of}`)}</Badge>
}

/** How many days are left, or how late it is; nothing of what is closed. */
export function Left({ of }: { of: Case }) {
  const t = useText()
  if (of.days_left === null || of.days_left === undefined) return <>–</>
  const count = Math.abs(of.days_left)
  if (of.overdue) return <Badge tone="bad">{t('privacy.late', { count })}</Badge>
  return <Badge tone={of.days_left <= 7 ? 'warn' : 'plain'}>{t('privacy.left', { count })}</Badge>
}

/** `trait = value` on lines; values that are JSON are taken as such. */
function corrections(text: string): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const line of text.split('\n')) {
    const [, name, said] = /^([^=]+)=(.*)$/.exec(line.trim()) ?? []
    if (name === undefined || said === undefined) continue
    try {
      found[name.trim()] = JSON.parse(said)
    } catch {
      found[name.trim()] = said.trim()
    }
  }
  return found
}

function Enter({ onClose }: { onClose: () => void }) {
  const t = useText()
  const refresh = useRefresh('/api/v1/requests', '/api/v1/requests/statistics')
  const enter = api.useMutation('post', '/api/v1/requests', { onSuccess: refresh })
  const { texts, bind } = useTexts({
    kind: 'access',
    identifiers: '',
    identified: '',
    regulation: 'gdpr',
    purpose: '',
    corrections: '',
    note: '',
  })
  const submit = () => {
    const { identified, purpose, note } = texts
    return enter.mutateAsync({
      body: {
        kind: texts.kind as Shape<'Kind'>,
        regulation: texts.regulation as Shape<'Regulation'>,
        identifiers: listed(texts.identifiers),
        ...(identified && { identified }),
        ...(texts.kind === 'object' && purpose && { purpose }),
        ...(texts.kind === 'rectify' && { corrections: corrections(texts.corrections) }),
        ...(note && { note }),
      },
    })
  }
  return (
    <FormDialog
      title={t('privacy.request.enter')}
      action={t('privacy.request.enter')}
      incomplete={listed(texts.identifiers).length === 0}
      onSubmit={submit}
      onClose={onClose}
    >
      <Row>
        <SelectField
          label={t('privacy.kind')}
          options={KINDS.map((value) => ({ value, label: t(`privacy.kind.${value}`) }))}
          {...bind('kind')}
        />
        <SelectField
          label={t('privacy.regulation')}
          options={[
            { value: 'gdpr', label: t('privacy.regulation.gdpr') },
            { value: 'ccpa', label: t('privacy.regulation.ccpa') },
          ]}
          {...bind('regulation')}
        />
      </Row>
      <TextField
        label={t('privacy.identifiers')}
        hint={t('privacy.identifiers.hint')}
        required
        {...bind('identifiers')}
      />
      {texts.kind === 'object' && (
        <TextField label={t('privacy.purpose')} hint={t('privacy.object.hint')} {...bind('purpose')} />
      )}
      {texts.kind === 'rectify' && (
        <TextArea label={t('privacy.corrections')} hint={t('privacy.corrections.hint')} {...bind('corrections')} />
      )}
      <TextField label={t('privacy.identified')} hint={t('privacy.identified.hint')} {...bind('identified')} />
      <TextArea label={t('privacy.note')} {...bind('note')} />
    </FormDialog>
  )
}

function Statistics() {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/requests/statistics', {})
  type One = Shape<'KindStatistics'>
  const number = (key: 'received' | 'open' | 'overdue' | 'completed' | 'late' | 'cancelled') => ({
    key,
    title: t(`privacy.statistics.${key}`),
    end: true,
    cell: (one: One) => <Num of={one[key]} />,
  })
  if (asked.data?.length === 0) return null
  return (
    <Section title={t('privacy.statistics')}>
      <Await of={asked}>
        {(kinds) => (
          <Table<One>
            label={t('privacy.statistics')}
            rows={kinds}
            rowKey={(one) => one.kind}
            columns={[
              { key: 'kind', title: t('privacy.kind'), cell: (one) => t(`privacy.kind.${one.kind}`) },
              number('received'),
              number('open'),
              number('overdue'),
              number('completed'),
              number('late'),
              number('cancelled'),
              {
                key: 'days',
                title: t('privacy.statistics.days'),
                end: true,
                cell: (one) => (typeof one.median_days === 'number' ? <Num of={one.median_days} /> : '–'),
              },
            ]}
          />
        )}
      </Await>
    </Section>
  )
}

const WHICH = ['open', 'overdue', 'all'] as const

export function Requests() {
  const t = useText()
  const [which, setWhich] = useState<string>('open')
  const [entering, setEntering] = useState(false)
  const query = which === 'all' ? {} : { status: which }
  const asked = api.useQuery('get', '/api/v1/requests', { params: { query } })
  const enter = (
    <May do="privacy.answer">
      <Button look="main" onClick={() => setEntering(true)}>
        {t('privacy.request.enter')}
      </Button>
    </May>
  )
  return (
    <Frame>
      <Page title={t('privacy.requests')} lead={t('privacy.requests.lead')} actions={enter}>
        <Row>
          <SelectField
            label={t('privacy.which')}
            value={which}
            onChange={(event) => setWhich(event.target.value)}
            options={WHICH.map((value) => ({ value, label: t(`privacy.which.${value}`) }))}
          />
        </Row>
        <Await of={asked}>
          {(cases) =>
            cases.length === 0 ? (
              <Empty title={t('privacy.requests.none')} action={enter}>
                {t('privacy.requests.none.text')}
              </Empty>
            ) : (
              <Table<Case>
                label={t('privacy.requests')}
                rows={cases}
                rowKey={(one) => one.id}
                columns={[
                  {
                    key: 'id',
                    title: t('privacy.request'),
                    cell: (one) => (
                      <Link to="/privacy/requests/$id" params={{ id: one.id }}>
                        {t(`privacy.kind.${one.kind}`)} <code>{one.id}</code>
                      </Link>
                    ),
                    sort: (one) => one.kind,
                  },
                  { key: 'status', title: t('privacy.state'), cell: (one) => <Status of={one.status} /> },
                  { key: 'who', title: t('privacy.who'), cell: (one) => one.identifiers.join(', ') || '–' },
                  {
                    key: 'received',
                    title: t('privacy.received'),
                    cell: (one) => <Time of={one.received} />,
                    sort: (one) => one.received,
                  },
                  {
                    key: 'due',
                    title: t('privacy.due'),
                    cell: (one) => <Left of={one} />,
                    sort: (one) => one.due,
                  },
                ]}
              />
            )
          }
        </Await>
        <Statistics />
        {entering && <Enter onClose={() => setEntering(false)} />}
      </Page>
    </Frame>
  )
}
