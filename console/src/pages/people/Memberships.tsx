// Segments of a person, and why they are in each.
import { Link } from '@tanstack/react-router'
import { api } from '~/api/client'
import { useText } from '~/i18n'
import { Await, Badge, Card, Empty, Time } from '~/ui/Page'
import type { Person } from './Profile'
import styles from './people.module.css'

type Why = { text: string; holds: boolean; measured?: string; parts?: Why[] }

function Reason({ of }: { of: Why }) {
  const t = useText()
  return (
    <li>
      <Badge tone={of.holds ? 'good' : 'warn'}>{of.holds ? t('people.holds') : t('people.holdsNot')}</Badge>{' '}
      <code>{of.text}</code> {of.measured}
      {of.parts && of.parts.length > 0 && (
        <ul className={styles.why}>
          {of.parts.map((part) => (
            <Reason key={part.text} of={part} />
          ))}
        </ul>
      )}
    </li>
  )
}

function Explanation({ segment, person }: { segment: string; person: Person }) {
  const asked = api.useQuery('get', '/api/v1/segments/{name}/explain', {
    params: { path: { name: segment }, query: { identifier: person.id } },
  })
  return (
    <Await of={asked} lines={1}>
      {(why) => (
        <ul className={styles.why}>
          <Reason of={why as unknown as Why} />
        </ul>
      )}
    </Await>
  )
}

export function Memberships({ person }: { person: Person }) {
  const t = useText()
  if (person.segments.length === 0) return <Empty title={t('people.noSegments')} />
  return person.segments.map(({ name, since }) => (
    <Card key={name}>
      <h3>
        <Link to="/segments/$name" params={{ name }}>
          {name}
        </Link>
      </h3>
      <p>
        {t('people.since')} <Time of={since} />
      </p>
      <Explanation segment={name} person={person} />
    </Card>
  ))
}
