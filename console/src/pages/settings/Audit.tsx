// Who read people's data in bulk, changed something, or was refused; and whether the record is whole.
import { useInfiniteQuery } from '@tanstack/react-query'
import { api, client, type Shape } from '~/api/client'
import { May } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Await, Badge, Empty, Failure, Notice, Page, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { Frame } from './Settings'

const PAGE = 200

async function entries(before: number | undefined): Promise<Shape<'EntryView'>[]> {
  const query = { limit: PAGE, ...(before === undefined ? {} : { before }) }
  const { data, error } = await client.GET('/api/v1/audit', { params: { query } })
  if (data === undefined) throw error
  return data
}

/** Looks through the whole tree, by the server's own reading. */
function Check() {
  const t = useText()
  const check = api.useMutation('post', '/api/v1/audit/check')
  return (
    <>
      <div>
        <Button busy={check.isPending} onClick={() => check.mutate({ body: {} })}>
          {t('settings.audit.check')}
        </Button>
      </div>
      <Failure of={check.error} />
      {check.data && (
        <Notice tone={check.data.problems.length === 0 ? 'good' : 'bad'}>
          {check.data.problems.length === 0
            ? t('settings.audit.whole', { count: check.data.entries })
            : check.data.problems.join(' ')}
        </Notice>
      )}
    </>
  )
}

export function Audit() {
  const t = useText()
  const asked = useInfiniteQuery({
    queryKey: ['get', '/api/v1/audit', 'pages'],
    queryFn: ({ pageParam }) => entries(pageParam),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (page) => (page.length < PAGE ? undefined : page.at(-1)?.number),
  })
  return (
    <Frame>
      <Page title={t('settings.audit')} lead={t('settings.audit.lead')}>
        <May do="audit.check">
          <Check />
        </May>
        <Await of={asked}>
          {({ pages }) =>
            pages.flat().length === 0 ? (
              <Empty title={t('settings.audit.none')} />
            ) : (
              <>
                <Table<Shape<'EntryView'>>
                  label={t('settings.audit')}
                  rows={pages.flat()}
                  rowKey={(one) => one.number}
                  columns={[
                    { key: 'at', title: t('settings.when'), cell: (one) => <Time of={one.at} /> },
                    { key: 'caller', title: t('settings.who'), cell: (one) => one.caller, sort: (one) => one.caller },
                    {
                      key: 'kind',
                      title: t('settings.kind'),
                      cell: (one) => <Badge>{one.kind}</Badge>,
                      sort: (one) => one.kind,
                    },
                    {
                      key: 'action',
                      title: t('settings.action'),
                      cell: (one) => one.action,
                      sort: (one) => one.action,
                    },
                    { key: 'path', title: t('settings.where'), cell: (one) => <code>{one.path}</code> },
                    {
                      key: 'details',
                      title: t('settings.details'),
                      cell: (one) => (
                        <code title={JSON.stringify(one.details)}>{JSON.stringify(one.details).slice(0, 80)}</code>
                      ),
                    },
                  ]}
                />
                {asked.hasNextPage && (
                  <Button busy={asked.isFetchingNextPage} onClick={() => void asked.fetchNextPage()}>
                    {t('settings.more')}
                  </Button>
                )}
              </>
            )
          }
        </Await>
      </Page>
    </Frame>
  )
}
