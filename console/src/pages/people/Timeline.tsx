// What somebody did, the newest first.
import { useInfiniteQuery } from '@tanstack/react-query'
import { client, type Shape } from '~/api/client'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Await, Badge, Empty, Time } from '~/ui/Page'
import styles from './people.module.css'

const PAGE = 50

type Event = { type: string; event?: string; name?: string; timestamp?: string }

async function events(identifier: string, before: number | undefined): Promise<Shape<'TimelineEvent'>[]> {
  const query = { limit: PAGE, ...(before === undefined ? {} : { before }) }
  const asked = { params: { path: { identifier }, query } }
  const { data, error } = await client.GET('/api/v1/profiles/{identifier}/timeline', asked)
  if (data === undefined) throw error
  return data
}

export function Timeline({ id }: { id: string }) {
  const t = useText()
  const asked = useInfiniteQuery({
    queryKey: ['get', '/api/v1/profiles/{identifier}/timeline', id],
    queryFn: ({ pageParam }) => events(id, pageParam),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (page) => (page.length < PAGE ? undefined : page.at(-1)?.offset),
  })
  return (
    <Await of={asked}>
      {({ pages }) =>
        pages.flat().length === 0 ? (
          <Empty title={t('people.noEvents')} />
        ) : (
          <>
            <ol className={styles.timeline}>
              {pages.flat().map(({ offset, source, event }) => {
                const { type, event: name, timestamp } = event as unknown as Event
                return (
                  <li key={offset}>
                    <details>
                      <summary>
                        <strong>{name ?? type}</strong> <Badge>{source}</Badge> {timestamp && <Time of={timestamp} />}
                      </summary>
                      <pre>{JSON.stringify(event, null, 2)}</pre>
                    </details>
                  </li>
                )
              })}
            </ol>
            {asked.hasNextPage && (
              <Button busy={asked.isFetchingNextPage} onClick={() => void asked.fetchNextPage()}>
                {t('people.more')}
              </Button>
            )}
          </>
        )
      }
    </Await>
  )
}
