// Why identifiers are one person: the graph and the same as a list, and how to part them again.
import { useQueryClient } from '@tanstack/react-query'
import { lazy, Suspense, useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Confirm } from '~/ui/Dialog'
import { Form, Row, TextField } from '~/ui/Field'
import { Await, Badge, Failure, Loading, Num, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import type { Person } from './Profile'

const Graph = lazy(() => import('./Graph'))

type Identifier = Shape<'IdentifierView'>
const named = (one: Identifier) => `${one.kind}:${one.value}`

/** Tells all pages that who is who has changed. */
function useRefresh(): () => void {
  const cache = useQueryClient()
  return () => void cache.invalidateQueries({ predicate: ({ queryKey }) => String(queryKey[1]).includes('/profiles') })
}

function Merge({ person }: { person: Person }) {
  const t = useText()
  const say = useSay()
  const refresh = useRefresh()
  const [other, setOther] = useState('')
  const [first] = person.identifiers
  const merge = api.useMutation('post', '/api/v1/profiles/merge', {
    onSuccess: () => {
      say(t('people.merged'))
      setOther('')
      refresh()
    },
  })
  if (!first) return null
  return (
    <Form onSubmit={() => merge.mutate({ body: { a: named(first), b: other.trim() } })}>
      <Row>
        <TextField
          label={t('people.merge')}
          hint={t('people.merge.hint')}
          value={other}
          onChange={(event) => setOther(event.target.value)}
        />
        <Button type="submit" busy={merge.isPending} disabled={other.trim() === ''}>
          {t('people.merge.button')}
        </Button>
      </Row>
      <Failure of={merge.error} />
    </Form>
  )
}

export function Identity({ person }: { person: Person }) {
  const t = useText()
  const say = useSay()
  const { can } = useSession()
  const refresh = useRefresh()
  const [parting, setParting] = useState<Identifier>()
  const [withdrawn, setWithdrawn] = useState<Shape<'Evidence'>>()
  const identifier = person.id
  const evidence = api.useQuery('get', '/api/v1/profiles/{identifier}/evidence', { params: { path: { identifier } } })
  const unmerge = api.useMutation('post', '/api/v1/profiles/unmerge')
  const withdraw = api.useMutation('post', '/api/v1/profiles/{identifier}/withdraw')
  const edits = can('profiles.edit')
  return (
    <>
      <Await of={evidence}>
        {(found) => (
          <>
            <Suspense fallback={<Loading />}>
              <Graph label={t('people.graph')} identifiers={person.identifiers} evidence={found} />
            </Suspense>
            <Section title={t('people.identifiers')}>
              <Table<Identifier>
                label={t('people.identifiers')}
                rows={person.identifiers}
                rowKey={named}
                columns={[
                  { key: 'kind', title: t('people.kind'), cell: (one) => one.kind, sort: (one) => one.kind },
                  { key: 'value', title: t('people.value'), cell: (one) => one.value },
                  { key: 'events', title: t('people.events'), end: true, cell: (one) => <Num of={one.events} /> },
                  { key: 'seen', title: t('people.firstSeen'), cell: (one) => <Time of={one.first_seen} /> },
                  ...(edits && person.identifiers.length > 1
                    ? [
                        {
                          key: 'part',
                          title: t('people.action'),
                          cell: (one: Identifier) => (
                            <Button look="quiet" onClick={() => setParting(one)}>
                              {t('people.part')} <span className="hidden-text">{named(one)}</span>
                            </Button>
                          ),
                        },
                      ]
                    : []),
                ]}
              />
              {edits && <Merge person={person} />}
            </Section>
            <Section title={t('people.evidence')}>
              <Table<Shape<'Evidence'>>
                label={t('people.evidence')}
                rows={found}
                rowKey={(one) => one.id}
                columns={[
                  { key: 'says', title: t('people.says'), cell: (one) => <Badge>{one.says}</Badge> },
                  { key: 'of', title: t('people.identifiers'), cell: (one) => one.identifiers.join(' = ') },
                  { key: 'at', title: t('people.when'), cell: (one) => one.at && <Time of={one.at} /> },
                  ...(edits
                    ? [
                        {
                          key: 'withdraw',
                          title: t('people.action'),
                          cell: (one: Shape<'Evidence'>) =>
                            one.withdrawn ? (
                              t('people.withdrawn')
                            ) : (
                              <Button look="quiet" onClick={() => setWithdrawn(one)}>
                                {t('people.withdraw')} <span className="hidden-text">{one.id}</span>
                              </Button>
                            ),
                        },
                      ]
                    : []),
                ]}
              />
            </Section>
          </>
        )}
      </Await>
      {parting && (
        <Confirm
          title={t('people.part.title', { identifier: named(parting) })}
          action={t('people.part')}
          danger
          onConfirm={async () => {
            await unmerge.mutateAsync({ body: { a: named(parting) } })
            say(t('people.parted'))
            refresh()
          }}
          onClose={() => setParting(undefined)}
        >
          <p>{t('people.part.text')}</p>
        </Confirm>
      )}
      {withdrawn && (
        <Confirm
          title={t('people.withdraw.title')}
          action={t('people.withdraw')}
          danger
          onConfirm={async () => {
            const body = { evidence: [withdrawn.id] }
            await withdraw.mutateAsync({ params: { path: { identifier } }, body })
            say(t('people.parted'))
            refresh()
          }}
          onClose={() => setWithdrawn(undefined)}
        >
          <p>{withdrawn.identifiers.join(' = ')}</p>
          <p>{t('people.withdraw.text')}</p>
        </Confirm>
      )}
    </>
  )
}
