// One request: who asks for what, by when, what was done, and what can be done next.
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { download } from '~/api/download'
import { useRefresh } from '~/api/refresh'
import { useParam } from '~/app/params'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { FormDialog } from '~/ui/Dialog'
import { CheckField, TextField, useTexts } from '~/ui/Field'
import { Await, Facts, Notice, Page, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame } from './Privacy'
import { type Case, Left, Status } from './Requests'

type Step = 'verify' | 'extend' | 'cancel'

/** Asks why, and does it. */
function Because({ step, id, onClose }: { step: Step; id: string; onClose: () => void }) {
  const t = useText()
  const refresh = useRefresh('/api/v1/requests', '/api/v1/requests/{id}', '/api/v1/requests/statistics')
  const { texts, bind } = useTexts({ why: '' })
  const done = { onSuccess: refresh }
  const verify = api.useMutation('post', '/api/v1/requests/{id}/verify', done)
  const extend = api.useMutation('post', '/api/v1/requests/{id}/extend', done)
  const cancel = api.useMutation('post', '/api/v1/requests/{id}/cancel', done)
  const run = { verify, extend, cancel }[step]
  return (
    <FormDialog
      title={t(`privacy.request.${step}`)}
      action={t(`privacy.request.${step}`)}
      danger={step === 'cancel'}
      incomplete={texts.why.trim() === ''}
      onSubmit={() => run.mutateAsync({ params: { path: { id } }, body: { why: texts.why.trim() } })}
      onClose={onClose}
    >
      <TextField label={t(`privacy.request.${step}.why`)} required {...bind('why')} />
    </FormDialog>
  )
}

function CarryOut({ of, onClose }: { of: Case; onClose: () => void }) {
  const t = useText()
  const refresh = useRefresh('/api/v1/requests', '/api/v1/requests/{id}', '/api/v1/requests/statistics')
  const [despite, setDespite] = useState(false)
  const run = api.useMutation('post', '/api/v1/requests/{id}/carry-out', { onSuccess: refresh })
  const submit = () => run.mutateAsync({ params: { path: { id: of.id } }, body: { despite_warning: despite } })
  return (
    <FormDialog
      title={t('privacy.request.carryOut')}
      action={t('privacy.request.carryOut')}
      danger={of.kind === 'erase'}
      incomplete={typeof of.warning === 'string' && !despite}
      onSubmit={submit}
      onClose={onClose}
    >
      <p>{t(`privacy.carryOut.${of.kind}`)}</p>
      {of.warning && (
        <>
          <Notice tone="warn">{of.warning}</Notice>
          <CheckField
            label={t('privacy.despite')}
            checked={despite}
            onChange={(event) => setDespite(event.target.checked)}
          />
        </>
      )}
    </FormDialog>
  )
}

function Actions({ of }: { of: Case }) {
  const t = useText()
  const say = useSay()
  const { can } = useSession()
  const [asking, setAsking] = useState<Step | 'carryOut'>()
  const { status, id } = of
  const isOpen = status === 'unverified' || status === 'pending' || status === 'in_progress'
  const hasAnswer = (of.kind === 'access' || of.kind === 'portability') && status.startsWith('completed')
  const answer = () => void download(`/api/v1/requests/${id}/answer`, `${id}.zip`).catch(say.problem)
  const close = () => setAsking(undefined)
  return (
    <May do="privacy.answer">
      {hasAnswer && <Button onClick={answer}>{t('privacy.request.answer')}</Button>}
      {isOpen && (
        <>
          {status === 'unverified' && (
            <Button onClick={() => setAsking('verify')}>{t('privacy.request.verify')}</Button>
          )}
          {!of.extended && <Button onClick={() => setAsking('extend')}>{t('privacy.request.extend')}</Button>}
          <Button look="danger" onClick={() => setAsking('cancel')}>
            {t('privacy.request.cancel')}
          </Button>
          {status !== 'unverified' && can('privacy.erase') && (
            <Button look="main" onClick={() => setAsking('carryOut')}>
              {t('privacy.request.carryOut')}
            </Button>
          )}
        </>
      )}
      {asking === 'carryOut' && <CarryOut of={of} onClose={close} />}
      {asking !== undefined && asking !== 'carryOut' && <Because step={asking} id={id} onClose={close} />}
    </May>
  )
}

export function Request() {
  const t = useText()
  const id = useParam('id')
  const asked = api.useQuery('get', '/api/v1/requests/{id}', { params: { path: { id } } })
  const found = asked.data
  return (
    <Frame>
      <Page title={found ? t(`privacy.kind.${found.kind}`) : id} actions={found && <Actions of={found} />}>
        <Await of={asked}>
          {(of) => (
            <>
              {of.warning && <Notice tone="warn">{of.warning}</Notice>}
              <Facts
                of={[
                  [t('privacy.request'), <code key="id">{of.id}</code>],
                  [t('privacy.state'), <Status key="status" of={of.status} />],
                  [
                    t('privacy.who'),
                    of.identifiers.length === 0
                      ? t('privacy.forgotten')
                      : of.identifiers.map((identifier) => (
                          <span key={identifier}>
                            <Link to="/people/$identifier" params={{ identifier }}>
                              {identifier}
                            </Link>{' '}
                          </span>
                        )),
                  ],
                  [t('privacy.regulation'), t(`privacy.regulation.${of.regulation}`)],
                  [t('privacy.received'), <Time key="received" of={of.received} exact />],
                  [
                    t('privacy.due'),
                    <span key="due">
                      <Time of={of.due} exact /> <Left of={of} />
                    </span>,
                  ],
                  [t('privacy.identified'), of.identified ?? t('privacy.notIdentified')],
                  ...(of.extended ? ([[t('privacy.extended'), of.extended]] as const) : []),
                  ...(of.purpose ? ([[t('privacy.purpose'), of.purpose]] as const) : []),
                  ...(of.note ? ([[t('privacy.note'), of.note]] as const) : []),
                  ...(of.corrections
                    ? ([
                        [t('privacy.corrections'), <code key="corrections">{JSON.stringify(of.corrections)}</code>],
                      ] as const)
                    : []),
                  ...(of.result
                    ? ([[t('privacy.result'), <pre key="result">{JSON.stringify(of.result, null, 2)}</pre>]] as const)
                    : []),
                ]}
              />
              <Section title={t('privacy.history')}>
                <Table<Shape<'Step'>>
                  label={t('privacy.history')}
                  rows={of.history}
                  rowKey={(one, place) => `${one.at} ${place}`}
                  columns={[
                    { key: 'at', title: t('privacy.when'), cell: (one) => <Time of={one.at} exact /> },
                    { key: 'by', title: t('privacy.by'), cell: (one) => <code>{one.by}</code> },
                    { key: 'status', title: t('privacy.state'), cell: (one) => <Status of={one.status} /> },
                    { key: 'why', title: t('privacy.why'), cell: (one) => one.why },
                  ]}
                />
              </Section>
            </>
          )}
        </Await>
      </Page>
    </Frame>
  )
}
