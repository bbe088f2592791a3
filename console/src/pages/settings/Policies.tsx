// Who may do what: the workspace's own policies beside those of the roles, and what they say of somebody.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { CodeEditor } from '~/ui/CodeEditor'
import { CheckField, Form, listed, Row, SelectField, TextField, useTexts } from '~/ui/Field'
import { Await, Badge, Card, Empty, Failure, Page, Section } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame, ROLES } from './Settings'

type Answer = Shape<'PolicyAnswer'>
type Line = { name: string; says: string; good: boolean; by: string[] }

function Says({ of }: { of: Answer }) {
  const t = useText()
  const table = (label: string, what: string, rows: Line[]) => (
    <Table<Line>
      label={label}
      rows={rows}
      rowKey={(one) => one.name}
      columns={[
        { key: 'name', title: what, cell: (one) => <code>{one.name}</code>, sort: (one) => one.name },
        {
          key: 'says',
          title: t('settings.policies.says'),
          cell: (one) => <Badge tone={one.good ? 'good' : 'warn'}>{one.says}</Badge>,
          sort: (one) => one.says,
        },
        { key: 'by', title: t('settings.policies.by'), cell: (one) => one.by.join(', ') || '–' },
      ]}
    />
  )
  const actions = Object.entries(of.actions).map(([name, { allowed, by }]) => ({
    name,
    says: allowed ? t('settings.yes') : t('settings.no'),
    good: allowed,
    by,
  }))
  const sees = Object.entries(of.sees).map(([name, { mask, by }]) => ({
    name: t(`settings.class.${name}`),
    says: mask,
    good: mask !== 'hidden',
    by,
  }))
  return (
    <>
      {table(t('settings.policies.sees'), t('settings.policies.class'), sees)}
      {table(t('settings.policies.may'), t('settings.policies.action'), actions)}
    </>
  )
}

/** Asks policies, those in the editor, about somebody. */
function Tester({ policies }: { policies: string }) {
  const t = useText()
  const { texts, bind } = useTexts({ role: 'marketer', who: '', teams: '', purpose: '' })
  const [factor, setFactor] = useState(false)
  const ask = api.useMutation('post', '/api/v1/access-policies/try')
  const submit = () =>
    ask.mutate({
      body: {
        policies,
        role: texts.role,
        teams: listed(texts.teams),
        second_factor: factor,
        ...(texts.who && { who: texts.who }),
        ...(texts.purpose && { purpose: texts.purpose }),
      },
    })
  return (
    <Section title={t('settings.policies.test')}>
      <Card>
        <Form onSubmit={submit} wide>
          <Row>
            <SelectField
              label={t('settings.role')}
              options={ROLES.map((value) => ({ value, label: t(`settings.role.${value}`) }))}
              {...bind('role')}
            />
            <TextField label={t('settings.policies.who')} {...bind('who')} />
            <TextField label={t('settings.teams')} {...bind('teams')} />
            <TextField label={t('settings.policies.purpose')} {...bind('purpose')} />
          </Row>
          <CheckField
            label={t('settings.policies.factor')}
            checked={factor}
            onChange={(event) => setFactor(event.target.checked)}
          />
          <p>
            <Button type="submit" busy={ask.isPending}>
              {t('settings.policies.ask')}
            </Button>
          </p>
        </Form>
      </Card>
      <Failure of={ask.error} />
      {ask.data ? <Says of={ask.data} /> : !ask.error && <Empty title={t('settings.policies.notAsked')} />}
    </Section>
  )
}

function Editor({ of }: { of: string }) {
  const t = useText()
  const say = useSay()
  const { can } = useSession()
  const refresh = useRefresh('/api/v1/access-policies', '/api/v1/session')
  const [text, setText] = useState(of)
  const save = api.useMutation('put', '/api/v1/access-policies', {
    onSuccess: () => {
      say(t('ui.saved'))
      refresh()
    },
  })
  return (
    <>
      <Section title={t('settings.policies.own')}>
        <CodeEditor label={t('settings.policies.own')} language="text" value={text} onChange={setText} />
        <Failure of={save.error} />
        {can('people.edit') && (
          <p>
            <Button
              look="main"
              busy={save.isPending}
              disabled={text === of}
              onClick={() => save.mutate({ body: { policies: text } })}
            >
              {t('ui.save')}
            </Button>
          </p>
        )}
      </Section>
      <Tester policies={text} />
    </>
  )
}

export function Policies() {
  const t = useText()
  const asked = api.useQuery('get', '/api/v1/access-policies', {})
  return (
    <Frame>
      <Page title={t('settings.policies')} lead={t('settings.policies.lead')}>
        <Await of={asked}>{({ policies }) => <Editor key={policies} of={policies} />}</Await>
      </Page>
    </Frame>
  )
}
