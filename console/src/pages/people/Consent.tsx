// What a person allows, by which statement, and a new statement by an operator who has the proof.
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '~/api/client'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Form, Row, SelectField, TextField } from '~/ui/Field'
import { Badge, Empty, Failure, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import type { Person } from './Profile'

type Decision = {
  allowed: boolean
  rule: string
  row: { at: number; state: string; strength: string; channel: string | null } | null
}

const STATES = ['granted', 'denied', 'withdrawn', 'objected', 'restricted'] as const

function Enter({ person }: { person: Person }) {
  const t = useText()
  const say = useSay()
  const cache = useQueryClient()
  const [purpose, setPurpose] = useState('')
  const [state, setState] = useState<string>(STATES[0])
  const [proof, setProof] = useState('')
  const enter = api.useMutation('post', '/api/v1/consents', {
    onSuccess: ({ refused }) => {
      const [first] = refused
      if (first) return say.problem({ code: 'refused', message: first.why, cure: '' })
      say(t('people.consent.entered'))
      void cache.invalidateQueries({ queryKey: ['get', '/api/v1/profiles/{identifier}'] })
    },
  })
  const terms = proof ? { proof } : {}
  return (
    <Section title={t('people.consent.enter')}>
      <Form onSubmit={() => enter.mutate({ body: { identifier: person.id, purpose, state, terms } })}>
        <Row>
          <TextField
            label={t('people.purpose')}
            required
            value={purpose}
            onChange={(event) => setPurpose(event.target.value)}
          />
          <SelectField
            label={t('people.state')}
            value={state}
            onChange={(event) => setState(event.target.value)}
            options={STATES.map((value) => ({ value, label: t(`people.state.${value}`) }))}
          />
        </Row>
        <TextField
          label={t('people.proof')}
          hint={t('people.proof.hint')}
          value={proof}
          onChange={(event) => setProof(event.target.value)}
        />
        <Failure of={enter.error} />
        <Button type="submit" busy={enter.isPending} disabled={purpose.trim() === ''}>
          {t('people.consent.enter')}
        </Button>
      </Form>
    </Section>
  )
}

export function Consent({ person }: { person: Person }) {
  const t = useText()
  const { can } = useSession()
  const decisions = Object.entries(person.consent as unknown as Record<string, Decision>)
  return (
    <>
      {decisions.length === 0 ? (
        <Empty title={t('people.noConsent')}>{t('people.noConsent.text')}</Empty>
      ) : (
        <Table<[string, Decision]>
          label={t('people.consent')}
          rows={decisions}
          rowKey={([purpose]) => purpose}
          columns={[
            { key: 'purpose', title: t('people.purpose'), cell: ([purpose]) => purpose },
            {
              key: 'allowed',
              title: t('people.decision'),
              cell: ([, one]) => (
                <Badge tone={one.allowed ? 'good' : 'bad'}>
                  {one.allowed ? t('people.allowed') : t('people.notAllowed')}
                </Badge>
              ),
            },
            { key: 'rule', title: t('people.rule'), cell: ([, one]) => <code>{one.rule}</code> },
            {
              key: 'row',
              title: t('people.statement'),
              cell: ([, { row }]) =>
                row && (
                  <>
                    {row.state} ({row.strength}) {row.channel} <Time of={row.at} />
                  </>
                ),
            },
          ]}
        />
      )}
      {can('consents.edit') && <Enter person={person} />}
    </>
  )
}
