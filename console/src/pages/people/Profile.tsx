// One person: what is known and from where, what they did, what they are in and why, what they allow, and why all this is one person.
import { useParam } from '~/app/params'
import { api, type Shape } from '~/api/client'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Await, Badge, Empty, Facts, Failure, Loading, Num, Page, Time } from '~/ui/Page'
import { Tabs } from '~/ui/Tabs'
import { Consent } from './Consent'
import { GoldenRecord } from './GoldenRecord'
import { Identity } from './Identity'
import { Memberships } from './Memberships'
import { nameOf, shown } from './name'
import { PrivacyActions } from './PrivacyActions'
import { Timeline } from './Timeline'

export type Person = Shape<'ProfileView'>

/** The name of a person, where they have said one. */
function title(person: Person): string {
  const said = (name: string) => {
    const value: unknown = person.traits[name]?.value
    return typeof value === 'string' ? value : undefined
  }
  const whole = said('name') ?? [said('first_name'), said('last_name')].filter(Boolean).join(' ')
  return whole || nameOf(person.identifiers)
}

export function Profile() {
  const t = useText()
  const { can } = useSession()
  const identifier = useParam('identifier')
  const asked = api.useQuery('get', '/api/v1/profiles/{identifier}', { params: { path: { identifier } } })
  const person = asked.data
  if (!person) {
    const unknown = asked.error?.code === 'not_found'
    return (
      <Page title={identifier}>
        {unknown && <Empty title={t('people.unknown')}>{t('people.unknown.text')}</Empty>}
        {asked.error && !unknown && <Failure of={asked.error} retry={() => void asked.refetch()} />}
        {!asked.error && <Loading />}
      </Page>
    )
  }
  const computed = Object.entries(person.computed)
  const tabs = [
    { value: 'record', label: t('people.record'), content: <GoldenRecord person={person} /> },
    { value: 'timeline', label: t('people.timeline'), content: <Timeline id={person.id} /> },
    { value: 'segments', label: t('people.segments'), content: <Memberships person={person} /> },
    { value: 'consent', label: t('people.consent'), content: <Consent person={person} /> },
    { value: 'identity', label: t('people.identity'), content: <Identity person={person} /> },
  ]
  return (
    <Page
      title={title(person)}
      lead={person.identifiers.map((one) => `${one.kind}: ${one.value}`).join(' · ')}
      actions={can('privacy.answer') && <PrivacyActions person={person} />}
    >
      <Facts
        of={[
          [t('people.id'), <code key="id">{person.id}</code>],
          [t('people.events'), <Num key="events" of={person.events} />],
          [t('people.firstSeen'), <Time key="first" of={person.first_seen} exact />],
          [t('people.lastSeen'), <Time key="last" of={person.last_seen} />],
          ...computed.map(([name, value]) => [name, shown(value)] as const),
          ...(person.groups && person.groups.length > 0
            ? [
                [
                  t('people.groups'),
                  <span key="groups">
                    {person.groups.map((group) => (
                      <Badge key={`${group.type}:${group.id}`}>
                        {group.type}: {group.id} {group.role}
                      </Badge>
                    ))}
                  </span>,
                ] as const,
              ]
            : []),
        ]}
      />
      <Await of={asked}>{() => <Tabs tabs={tabs} />}</Await>
    </Page>
  )
}
