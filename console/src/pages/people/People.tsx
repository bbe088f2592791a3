// Everybody there is, and the way to one of them.
import { useInfiniteQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { client, type Shape } from '~/api/client'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Await, Empty, Page, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { nameOf } from './name'

const PAGE = 100

async function profiles(after: string | undefined): Promise<Shape<'Member'>[]> {
  const query = { limit: PAGE, ...(after === undefined ? {} : { after }) }
  const { data, error } = await client.GET('/api/v1/profiles', { params: { query } })
  if (data === undefined) throw error
  return data
}

export function People() {
  const t = useText()
  const asked = useInfiniteQuery({
    queryKey: ['get', '/api/v1/profiles', 'pages'],
    queryFn: ({ pageParam }) => profiles(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.length < PAGE ? undefined : page.at(-1)?.id),
  })
  return (
    <Page title={t('people.title')} lead={t('people.lead')}>
      <Await of={asked}>
        {({ pages }) => {
          const people = pages.flat()
          if (people.length === 0) return <Empty title={t('people.none')}>{t('people.none.text')}</Empty>
          return (
            <>
              <Table
                label={t('people.title')}
                rows={people}
                rowKey={(person) => person.id}
                columns={[
                  {
                    key: 'name',
                    title: t('people.person'),
                    cell: (person) => (
                      <Link to="/people/$identifier" params={{ identifier: person.id }}>
                        {nameOf(person.identifiers)}
                      </Link>
                    ),
                    sort: (person) => nameOf(person.identifiers),
                  },
                  {
                    key: 'identifiers',
                    title: t('people.identifiers'),
                    cell: (person) => person.identifiers.map((one) => `${one.kind}: ${one.value}`).join(', '),
                  },
                  {
                    key: 'since',
                    title: t('people.since'),
                    cell: (person) => <Time of={person.since} />,
                    sort: (person) => person.since,
                  },
                ]}
              />
              {asked.hasNextPage && (
                <Button busy={asked.isFetchingNextPage} onClick={() => void asked.fetchNextPage()}>
                  {t('people.more')}
                </Button>
              )}
            </>
          )
        }}
      </Await>
    </Page>
  )
}
