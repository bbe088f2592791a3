// What somebody wants to do and may not do alone.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { FormDialog } from '~/ui/Dialog'
import { TextField, useTexts } from '~/ui/Field'
import { Await, Badge, Card, Empty, Facts, Page, Time, type Tone } from '~/ui/Page'
import { Frame } from './Privacy'

type Approval = Shape<'Approval'>

const TONES: Record<Shape<'Standing'>, Tone> = {
  open: 'accent',
  approved: 'good',
  rejected: 'bad',
  used: 'plain',
  expired: 'plain',
}

function Decide({ of, approve, onClose }: { of: Approval; approve: boolean; onClose: () => void }) {
  const t = useText()
  const refresh = useRefresh('/api/v1/approvals')
  const { texts, bind } = useTexts({ why: '' })
  const decide = api.useMutation('post', '/api/v1/approvals/{id}', { onSuccess: refresh })
  const action = approve ? t('privacy.approve') : t('privacy.reject')
  return (
    <FormDialog
      title={action}
      action={action}
      danger={!approve}
      incomplete={texts.why.trim() === ''}
      onSubmit={() => decide.mutateAsync({ params: { path: { id: of.id } }, body: { approve, why: texts.why.trim() } })}
      onClose={onClose}
    >
      <p>{of.summary}</p>
      <TextField label={t('privacy.why')} required {...bind('why')} />
    </FormDialog>
  )
}

function One({ of }: { of: Approval }) {
  const t = useText()
  const [asking, setAsking] = useState<boolean>()
  return (
    <Card>
      <h2>{of.summary}</h2>
      <Facts
        of={[
          [
            t('privacy.state'),
            <Badge key="state" tone={TONES[of.standing]}>
              {t(`privacy.standing.${of.standing}`)}
            </Badge>,
          ],
          [t('privacy.matter'), t(`privacy.matter.${of.matter}`)],
          [t('privacy.asked'), of.asked_by],
          [t('privacy.when'), <Time key="when" of={of.asked_at} />],
          [t('privacy.deadline'), <Time key="deadline" of={of.deadline} exact />],
          [t('privacy.voters'), `${of.people} × ${of.by.join(', ')}`],
          [
            t('privacy.votes'),
            of.votes.length === 0
              ? '–'
              : of.votes.map((vote) => `${vote.by}: ${vote.approves ? '✓' : '✗'} ${vote.why}`).join('; '),
          ],
        ]}
      />
      {of.what !== null && of.what !== undefined && (
        <details>
          <summary>{t('privacy.approval.what')}</summary>
          <pre>{JSON.stringify(of.what, null, 2)}</pre>
        </details>
      )}
      {of.standing === 'open' && (
        <May do="governance.approve">
          <p>
            <Button look="main" onClick={() => setAsking(true)}>
              {t('privacy.approve')}
              <span className="hidden-text">{of.id}</span>
            </Button>{' '}
            <Button look="danger" onClick={() => setAsking(false)}>
              {t('privacy.reject')}
              <span className="hidden-text">{of.id}</span>
            </Button>
          </p>
        </May>
      )}
      {asking !== undefined && <Decide of={of} approve={asking} onClose={() => setAsking(undefined)} />}
    </Card>
  )
}

export function Approvals() {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/approvals', {}, { refetchInterval: 10_000 })
  return (
    <Frame>
      <Page title={t('privacy.approvals')} lead={t('privacy.approvals.lead')}>
        <Await of={asked}>
          {(approvals) =>
            approvals.length === 0 ? (
              <Empty title={t('privacy.approvals.none')}>{t('privacy.approvals.none.text')}</Empty>
            ) : (
              approvals.map((one) => <One key={one.id} of={one} />)
            )
          }
        </Await>
      </Page>
    </Frame>
  )
}
