// The traits that count: where each is from, by which rule it counts, what others say, and a steward's own word.
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Dialog, DialogFoot } from '~/ui/Dialog'
import { Form, TextField } from '~/ui/Field'
import { Badge, Empty, Failure, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { shown } from './name'
import type { Person } from './Profile'

type Trait = Shape<'TraitView'>

/** What a steward's own value is said to come from. */
const STEWARD = 'steward'

/** What was typed, as a value: JSON where it is some, else text. */
export function typed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function Correct({
  person,
  name,
  trait,
  onClose,
}: {
  person: Person
  name: string
  trait: Trait
  onClose: () => void
}) {
  const t = useText()
  const say = useSay()
  const cache = useQueryClient()
  const [text, setText] = useState(shown(trait.value))
  const path = { identifier: person.id, name }
  const done = () => {
    say(t('people.corrected', { name }))
    void cache.invalidateQueries({ queryKey: ['get', '/api/v1/profiles/{identifier}'] })
    onClose()
  }
  const set = api.useMutation('put', '/api/v1/profiles/{identifier}/traits/{name}', { onSuccess: done })
  const withdraw = api.useMutation('delete', '/api/v1/profiles/{identifier}/traits/{name}', { onSuccess: done })
  const error = set.error ?? withdraw.error
  return (
    <Dialog title={t('people.correct', { name })} open onClose={onClose}>
      <Form onSubmit={() => set.mutate({ params: { path }, body: { value: typed(text) as Record<string, never> } })}>
        <p>{t('people.correct.text')}</p>
        <TextField label={t('people.value')} value={text} onChange={(event) => setText(event.target.value)} />
        {error && <Failure of={error} />}
        <DialogFoot>
          <Button onClick={onClose}>{t('ui.cancel')}</Button>
          {trait.source === STEWARD && (
            <Button look="danger" busy={withdraw.isPending} onClick={() => withdraw.mutate({ params: { path } })}>
              {t('people.correct.withdraw')}
            </Button>
          )}
          <Button type="submit" look="main" busy={set.isPending}>
            {t('people.correct.set')}
          </Button>
        </DialogFoot>
      </Form>
    </Dialog>
  )
}

export function GoldenRecord({ person }: { person: Person }) {
  const t = useText()
  const { can } = useSession()
  const [corrected, setCorrected] = useState<string>()
  const traits = Object.entries(person.traits)
  const chosen = corrected === undefined ? undefined : person.traits[corrected]
  if (traits.length === 0) return <Empty title={t('people.noTraits')}>{t('people.noTraits.text')}</Empty>
  return (
    <>
      <Table<[string, Trait]>
        label={t('people.record')}
        rows={traits}
        rowKey={([name]) => name}
        columns={[
          { key: 'name', title: t('people.trait'), cell: ([name]) => name, sort: ([name]) => name },
          {
            key: 'value',
            title: t('people.value'),
            cell: ([, trait]) => (
              <>
                {shown(trait.value)}
                {trait.conflict?.map((other) => (
                  <div key={`${other.source} ${other.identifier}`}>
                    <Badge tone="warn">
                      {t('people.conflict', { source: other.source, value: shown(other.value) })}
                    </Badge>
                  </div>
                ))}
                {trait.history && trait.history.length > 1 && (
                  <details>
                    <summary>{t('people.history', { count: trait.history.length })}</summary>
                    <ul>
                      {trait.history.map((was) => (
                        <li key={`${was.at} ${was.source}`}>
                          {shown(was.value)} – {was.source}, <Time of={was.at} />
                        </li>
                      ))}
                    </ul>
                  </details>
                )}
              </>
            ),
          },
          {
            key: 'source',
            title: t('people.source'),
            cell: ([, trait]) => trait.source,
            sort: ([, one]) => one.source,
          },
          { key: 'rule', title: t('people.rule'), cell: ([, trait]) => <code>{trait.rule}</code> },
          {
            key: 'at',
            title: t('people.when'),
            cell: ([, trait]) => <Time of={trait.at} />,
            sort: ([, one]) => one.at,
          },
          ...(can('profiles.edit')
            ? [
                {
                  key: 'correct',
                  title: t('people.action'),
                  cell: ([name]: [string, Trait]) => (
                    <Button look="quiet" onClick={() => setCorrected(name)}>
                      {t('people.correct.button')} <span className="hidden-text">{name}</span>
                    </Button>
                  ),
                },
              ]
            : []),
        ]}
      />
      {corrected !== undefined && chosen && (
        <Correct person={person} name={corrected} trait={chosen} onClose={() => setCorrected(undefined)} />
      )}
    </>
  )
}
