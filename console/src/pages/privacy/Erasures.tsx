// Who was erased, with receipts that prove it; who is kept out.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { save } from '~/api/download'
import { useRefresh } from '~/api/refresh'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Confirm, Dialog, DialogFoot } from '~/ui/Dialog'
import { Form, listed, Row, TextArea, TextField, useTexts } from '~/ui/Field'
import { Await, Badge, Card, Empty, Facts, Failure, Notice, Num, Page, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame } from './Privacy'

type Request = Shape<'RequestView'>

/** What would go, before it goes. */
function Preview({ of }: { of: Shape<'ErasurePreview'> }) {
  const t = useText()
  return (
    <>
      {of.people.length > 0 && (
        <Table<Shape<'PersonPreview'>>
          label={t('privacy.erase.people')}
          rows={of.people}
          rowKey={(one) => one.id}
          columns={[
            { key: 'id', title: t('privacy.profile'), cell: (one) => <code>{one.id}</code> },
            { key: 'identifiers', title: t('privacy.identifiers'), cell: (one) => one.identifiers.join(', ') },
            { key: 'groups', title: t('privacy.groups'), cell: (one) => one.groups.join(', ') || '–' },
            { key: 'events', title: t('privacy.events'), end: true, cell: (one) => <Num of={one.events} /> },
          ]}
        />
      )}
      <Facts
        of={[
          [t('privacy.erase.told'), of.destinations.join(', ') || '–'],
          [t('privacy.erase.unknown'), of.unknown.join(', ') || '–'],
        ]}
      />
    </>
  )
}

function Erase() {
  const t = useText()
  const say = useSay()
  const refresh = useRefresh('/api/v1/privacy/requests')
  const { texts, bind, set } = useTexts({ who: '' })
  const [asking, setAsking] = useState(false)
  const preview = api.useMutation('post', '/api/v1/privacy/erasures/preview')
  const erase = api.useMutation('post', '/api/v1/privacy/erasures', { onSuccess: refresh })
  const body = { identifiers: listed(texts.who) }
  const count = preview.data?.people.length ?? 0
  return (
    <Section title={t('privacy.erase')}>
      <Card>
        <Form onSubmit={() => preview.mutate({ body })}>
          <TextArea label={t('privacy.identifiers')} hint={t('privacy.erase.hint')} required {...bind('who')} />
          <p>
            <Button type="submit" busy={preview.isPending} disabled={body.identifiers.length === 0}>
              {t('privacy.erase.preview')}
            </Button>
          </p>
        </Form>
        <Failure of={preview.error} />
      </Card>
      {preview.data && (
        <>
          <Preview of={preview.data} />
          <p>
            <Button look="danger" onClick={() => setAsking(true)}>
              {t('privacy.erase')}
            </Button>
          </p>
        </>
      )}
      {asking && (
        <Confirm
          title={t('privacy.erase.title', { count })}
          action={t('privacy.erase')}
          danger
          typed={t('privacy.erase.word')}
          onConfirm={async () => {
            await erase.mutateAsync({ body })
            set({ who: '' })
            preview.reset()
            say(t('privacy.erase.done'))
          }}
          onClose={() => setAsking(false)}
        >
          <p>{t('privacy.erase.text')}</p>
        </Confirm>
      )}
    </Section>
  )
}

function Receipt({ of, onClose }: { of: Request; onClose: () => void }) {
  const t = useText()
  const receipt = of.receipt
  return (
    <Dialog title={t('privacy.receipt')} open onClose={onClose} wide>
      {receipt ? (
        <Facts
          of={[
            [t('privacy.request'), <code key="id">{receipt.request}</code>],
            [t('privacy.receipt.done'), <Time key="done" of={receipt.completed_at} exact />],
            [
              t('privacy.receipt.verified'),
              <Badge key="verified" tone={receipt.verified ? 'good' : 'bad'}>
                {receipt.verified ? t('privacy.yes') : t('privacy.no')}
              </Badge>,
            ],
            [t('privacy.receipt.profiles'), <Num key="profiles" of={receipt.profiles} />],
            [t('privacy.receipt.log'), <Num key="log" of={receipt.log_records} />],
            [t('privacy.receipt.rows'), <Num key="rows" of={receipt.table_rows} />],
            [t('privacy.receipt.letters'), <Num key="letters" of={receipt.dead_letters + receipt.dead_deliveries} />],
            [t('privacy.receipt.suppressed'), <Num key="suppressed" of={receipt.suppressed} />],
            [t('privacy.receipt.backups'), <Num key="backups" of={receipt.backups ?? 0} />],
            [
              t('privacy.receipt.destinations'),
              Object.entries(receipt.destinations)
                .map(([name, state]) => `${name}: ${state}`)
                .join(', ') || '–',
            ],
            [t('privacy.receipt.exceptions'), receipt.exceptions.join(' ') || '–'],
          ]}
        />
      ) : (
        <Empty title={t('privacy.receipt.none')} />
      )}
      <DialogFoot>
        {of.signed && (
          <Button
            onClick={() =>
              save(new Blob([JSON.stringify(of.signed)], { type: 'application/json' }), `${of.request}.json`)
            }
          >
            {t('privacy.receipt.save')}
          </Button>
        )}
        <Button look="main" onClick={onClose}>
          {t('ui.close')}
        </Button>
      </DialogFoot>
    </Dialog>
  )
}

/** Whether a receipt, as a file, was made here and not changed since. */
function CheckReceipt() {
  const t = useText()
  const say = useSay()
  const check = api.useMutation('post', '/api/v1/privacy/receipts/check', { onError: say.problem })
  const read = async (file: File | undefined) => {
    if (!file) return
    try {
      check.mutate({ body: JSON.parse(await file.text()) as Shape<'Signed'> })
    } catch {
      say.problem({ code: 'bad', message: t('privacy.receipt.odd'), cure: '' })
    }
  }
  const good = check.data?.signed === true && check.data.ours
  return (
    <Section title={t('privacy.receipt.check')}>
      <TextField
        label={t('privacy.receipt.file')}
        type="file"
        accept="application/json"
        onChange={(event) => void read(event.target.files?.[0])}
      />
      {check.data && (
        <Notice tone={good ? 'good' : 'bad'}>{good ? t('privacy.receipt.genuine') : t('privacy.receipt.false')}</Notice>
      )}
    </Section>
  )
}

/** Whether somebody is kept out; letting them in again, or keeping them out. */
function Suppression() {
  const t = useText()
  const say = useSay()
  const { can } = useSession()
  const [identifier, setIdentifier] = useState('')
  const { texts, bind } = useTexts({ who: '' })
  const params = { query: { identifier } }
  const asked = api.useQuery('get', '/api/v1/privacy/suppressions', { params }, { enabled: identifier !== '' })
  const refresh = useRefresh('/api/v1/privacy/suppressions')
  const done = { onSuccess: refresh, onError: say.problem }
  const keepOut = api.useMutation('post', '/api/v1/privacy/suppressions', done)
  const letIn = api.useMutation('post', '/api/v1/privacy/suppressions/lift', done)
  const found = asked.data
  const body = { identifiers: [identifier] }
  return (
    <Section title={t('privacy.keptOut')}>
      <p>{t('privacy.keptOut.text')}</p>
      <Form onSubmit={() => setIdentifier(texts.who.trim())} wide>
        <Row>
          <TextField label={t('privacy.identifier')} {...bind('who')} />
          <Button type="submit" busy={asked.isFetching} disabled={texts.who.trim() === ''}>
            {t('privacy.ask')}
          </Button>
        </Row>
      </Form>
      <Failure of={asked.error} />
      {found && (
        <Notice tone={found.suppressed ? 'warn' : 'plain'}>
          <strong>
            {t(found.suppressed ? 'privacy.keptOut.yes' : 'privacy.keptOut.no', { identifier: found.identifier })}
          </strong>
          {found.since && <Time of={found.since} exact />}
          {found.request && <code>{found.request}</code>}
          {can('privacy.answer') && (
            <p>
              {found.suppressed ? (
                <Button busy={letIn.isPending} onClick={() => letIn.mutate({ body })}>
                  {t('privacy.letIn')}
                </Button>
              ) : (
                <Button busy={keepOut.isPending} onClick={() => keepOut.mutate({ body })}>
                  {t('privacy.keepOut')}
                </Button>
              )}
            </p>
          )}
        </Notice>
      )}
    </Section>
  )
}

export function Erasures() {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/privacy/requests', {}, { refetchInterval: 5_000 })
  const [shown, setShown] = useState<Request>()
  return (
    <Frame>
      <Page title={t('privacy.erasures')} lead={t('privacy.erasures.lead')}>
        <May do="privacy.erase">
          <Erase />
        </May>
        <Section title={t('privacy.receipts')}>
          <Await of={asked}>
            {(requests) =>
              requests.length === 0 ? (
                <Empty title={t('privacy.erasures.none')}>{t('privacy.erasures.none.text')}</Empty>
              ) : (
                <Table<Request>
                  label={t('privacy.receipts')}
                  rows={requests}
                  rowKey={(one) => one.request}
                  columns={[
                    {
                      key: 'at',
                      title: t('privacy.when'),
                      cell: (one) => <Time of={one.at} />,
                      sort: (one) => one.at,
                    },
                    { key: 'kind', title: t('privacy.kind'), cell: (one) => t(`privacy.erasure.${one.kind}`) },
                    {
                      key: 'status',
                      title: t('privacy.state'),
                      cell: (one) => (
                        <Badge tone={one.status === 'completed' ? 'good' : 'warn'}>
                          {t(`privacy.status.${one.status}`)}
                        </Badge>
                      ),
                    },
                    {
                      key: 'profiles',
                      title: t('privacy.receipt.profiles'),
                      end: true,
                      cell: (one) => <Num of={one.receipt?.profiles ?? 0} />,
                    },
                    {
                      key: 'receipt',
                      title: t('privacy.receipt'),
                      cell: (one) => (
                        <Button look="quiet" onClick={() => setShown(one)}>
                          {t('privacy.receipt.show')}
                          <span className="hidden-text">{one.request}</span>
                        </Button>
                      ),
                    },
                  ]}
                />
              )
            }
          </Await>
        </Section>
        <Suppression />
        <CheckReceipt />
        {shown && <Receipt of={shown} onClose={() => setShown(undefined)} />}
      </Page>
    </Frame>
  )
}
