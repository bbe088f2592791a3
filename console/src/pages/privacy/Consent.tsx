// What data are used for, on which ground, how many allow it; what a change of the policy would change; why one person may or may not.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Confirm } from '~/ui/Dialog'
import { Document } from '~/ui/Document'
import { Form, Row, TextField, useTexts } from '~/ui/Field'
import { Await, Badge, Empty, Facts, Failure, Notice, Num, Page, Percent, Section, Share } from '~/ui/Page'
import { type Column, Table } from '~/ui/Table'
import { Frame } from './Privacy'
import { MARKS, type Policy, type Purpose, withPurpose } from './policy'
import { PurposeForm } from './PurposeForm'
import { Tried } from './Tried'

/** How many of everybody may be reached. */
function Reach({ purpose }: { purpose: string }) {
  const body = { text: 'everyone', purpose }
  const asked = api.useQuery('post', '/api/v1/consents/reach', { body }, { staleTime: 60_000 })
  if (!asked.data) return <span>…</span>
  const { may, matching } = asked.data
  const share = matching > 0 ? may / matching : 0
  return (
    <span>
      <Num of={may} /> (<Percent of={share} />) <Share of={share} />
    </span>
  )
}

type Line = { name: string; of: Purpose }

function Purposes({ policy }: { policy: Policy }) {
  const t = useText()
  const { can } = useSession()
  const [edited, setEdited] = useState<Partial<Line>>()
  const [removed, setRemoved] = useState<string>()
  const refresh = useRefresh('/api/v1/settings')
  const save = api.useMutation('put', '/api/v1/consents/policy', { onSuccess: refresh })
  const lines = Object.entries(policy.purposes ?? {}).map(([name, of]) => ({ name, of }))
  const add = (
    <May do="consents.edit">
      <Button onClick={() => setEdited({})}>{t('privacy.purpose.add')}</Button>
    </May>
  )
  const action: Column<Line> = {
    key: 'action',
    title: t('privacy.action'),
    cell: (one) => (
      <>
        <Button look="quiet" onClick={() => setEdited(one)}>
          {t('privacy.edit')}
          <span className="hidden-text">{one.name}</span>
        </Button>
        <Button look="quiet" onClick={() => setRemoved(one.name)}>
          {t('privacy.remove')}
          <span className="hidden-text">{one.name}</span>
        </Button>
      </>
    ),
  }
  return (
    <Section title={t('privacy.purposes')} actions={add}>
      {lines.length === 0 ? (
        <Empty title={t('privacy.purposes.none')} action={add}>
          {t('privacy.purposes.none.text')}
        </Empty>
      ) : (
        <Table<Line>
          label={t('privacy.purposes')}
          rows={lines}
          rowKey={(one) => one.name}
          columns={[
            {
              key: 'name',
              title: t('privacy.purpose'),
              cell: (one) => (
                <>
                  {one.of.title ?? one.name} {one.of.title && <code>{one.name}</code>}
                </>
              ),
              sort: (one) => one.name,
            },
            { key: 'basis', title: t('privacy.basis'), cell: (one) => t(`privacy.basis.${one.of.basis ?? 'consent'}`) },
            {
              key: 'marks',
              title: t('privacy.marks'),
              cell: ({ of }) =>
                MARKS.filter((mark) => of[mark]).map((mark) => <Badge key={mark}>{t(`privacy.mark.${mark}`)}</Badge>),
            },
            { key: 'may', title: t('privacy.may'), cell: (one) => <Reach purpose={one.name} /> },
            ...(can('consents.edit') ? [action] : []),
          ]}
        />
      )}
      {edited && (
        <PurposeForm
          policy={policy}
          {...(edited.name === undefined ? {} : { name: edited.name })}
          onClose={() => setEdited(undefined)}
        />
      )}
      {removed !== undefined && (
        <Confirm
          title={t('privacy.purpose.remove', { name: removed })}
          action={t('privacy.remove')}
          danger
          onConfirm={() => save.mutateAsync({ body: withPurpose(policy, removed) })}
          onClose={() => setRemoved(undefined)}
        >
          <p>{t('privacy.purpose.remove.text')}</p>
        </Confirm>
      )}
    </Section>
  )
}

/** Whether one person's data may be used, and by which rule. */
function Decide() {
  const t = useText()
  const { texts, bind } = useTexts({ identifier: '', purpose: '', channel: '' })
  const decide = api.useMutation('post', '/api/v1/consents/decide')
  const submit = () => {
    const { identifier, purpose, channel } = texts
    decide.mutate({ body: { identifier: identifier.trim(), purpose: purpose.trim(), ...(channel && { channel }) } })
  }
  const found = decide.data
  return (
    <Section title={t('privacy.decide')}>
      <Form onSubmit={submit} wide>
        <Row>
          <TextField label={t('privacy.identifier')} required {...bind('identifier')} />
          <TextField label={t('privacy.purpose')} required {...bind('purpose')} />
          <TextField label={t('privacy.channel')} {...bind('channel')} />
          <Button
            type="submit"
            busy={decide.isPending}
            disabled={texts.identifier.trim() === '' || texts.purpose.trim() === ''}
          >
            {t('privacy.ask')}
          </Button>
        </Row>
      </Form>
      <Failure of={decide.error} />
      {found && (
        <Notice tone={found.allowed ? 'good' : 'warn'}>
          <strong>{found.allowed ? t('privacy.allowed') : t('privacy.refused')}</strong>
          <span>{found.because}</span>
          {found.jurisdiction && <span>{t('privacy.law', { law: found.jurisdiction })}</span>}
        </Notice>
      )}
    </Section>
  )
}

function Ledger() {
  const t = useText()
  const [asked, setAsked] = useState(false)
  const look = api.useQuery('get', '/api/v1/consents/ledger', {}, { enabled: asked, gcTime: 0 })
  return (
    <Section
      title={t('privacy.ledger')}
      actions={
        <Button
          busy={look.isFetching}
          onClick={() => {
            setAsked(true)
            if (asked) void look.refetch()
          }}
        >
          {t('privacy.ledger.check')}
        </Button>
      }
    >
      <p>{t('privacy.ledger.text')}</p>
      <Failure of={look.error} />
      {look.data && (
        <>
          <Notice tone={look.data.broken.length === 0 ? 'good' : 'bad'}>
            <strong>{look.data.broken.length === 0 ? t('privacy.ledger.whole') : t('privacy.ledger.broken')}</strong>
            {look.data.broken.map((one) => (
              <span key={one}>{one}</span>
            ))}
          </Notice>
          <Facts
            of={[
              [t('privacy.ledger.rows'), <Num key="rows" of={look.data.rows} />],
              [t('privacy.ledger.erased'), <Num key="erased" of={look.data.erased} />],
              [t('privacy.ledger.head'), <code key="head">{look.data.head}</code>],
            ]}
          />
        </>
      )}
    </Section>
  )
}

export function Consent() {
  const t = useText()
  const { can } = useSession()
  const asked = api.useQuery('get', '/api/v1/settings', {}, { enabled: can('settings.view') })
  const refresh = useRefresh('/api/v1/settings')
  const save = api.useMutation('put', '/api/v1/consents/policy', { onSuccess: refresh })
  const attempt = api.useMutation('post', '/api/v1/consents/policy/try')
  const policyOf = (settings: Shape<'Settings'>) => (settings.consent_policy ?? {}) as Policy
  return (
    <Frame>
      <Page title={t('privacy.consent')} lead={t('privacy.consent.lead')}>
        {can('settings.view') && <Await of={asked}>{(settings) => <Purposes policy={policyOf(settings)} />}</Await>}
        <Decide />
        <Ledger />
        {asked.data && (
          <Document
            label={t('privacy.policy')}
            hint={<p>{t('privacy.policy.hint')}</p>}
            value={policyOf(asked.data)}
            canSave={can('consents.edit')}
            onSave={(body) => save.mutateAsync({ body })}
            onTry={async (consent_policy) => <Tried of={await attempt.mutateAsync({ body: { consent_policy } })} />}
          />
        )}
      </Page>
    </Frame>
  )
}
