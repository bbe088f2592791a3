// The server: backups, whether the log is whole, derived state made anew.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Confirm } from '~/ui/Dialog'
import { Await, Badge, Empty, Facts, Failure, Notice, Num, Page, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame } from './Settings'

type Backup = Shape<'BackupView'>

/** Bytes, as people say them. */
function Bytes({ of }: { of: number }) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, of < 1 ? 0 : Math.floor(Math.log2(of) / 10))
  return (
    <>
      <Num of={of / 1024 ** power} digits={1} /> {units[power]}
    </>
  )
}

/** `20261121T100000Z…`: when a backup was made. */
function madeAt(id: string): string | undefined {
  const found = /^(\d{4})-?(\d\d)-?(\d\d)T(\d\d)-?(\d\d)-?(\d\d)/.exec(id)
  return found ? `${found[1]}-${found[2]}-${found[3]}T${found[4]}:${found[5]}:${found[6]}Z` : undefined
}

function Backups() {
  const t = useText()
  const say = useSay()
  const asked = api.useQuery('get', '/api/v1/backups', {}, { retry: false })
  const refresh = useRefresh('/api/v1/backups')
  const make = api.useMutation('post', '/api/v1/backups', {
    onSuccess: () => {
      say(t('settings.backup.made'))
      refresh()
    },
  })
  const isOff = asked.error?.code === 'no_backups'
  return (
    <Section
      title={t('settings.backups')}
      actions={
        <May do="system.use">
          <Button busy={make.isPending} onClick={() => make.mutate({})}>
            {t('settings.backup.make')}
          </Button>
        </May>
      }
    >
      <Failure of={make.error} />
      {isOff ? (
        <Empty title={t('settings.backups.none')}>{asked.error?.cure}</Empty>
      ) : (
        <Await of={asked}>
          {(backups) =>
            backups.length === 0 ? (
              <Empty title={t('settings.backups.none')}>{t('settings.backups.none.text')}</Empty>
            ) : (
              <Table<Backup>
                label={t('settings.backups')}
                rows={backups}
                rowKey={(one) => one.id}
                columns={[
                  {
                    key: 'made',
                    title: t('settings.backup.when'),
                    cell: (one) => {
                      const at = madeAt(one.id)
                      return at === undefined ? one.id : <Time of={at} />
                    },
                    sort: (one) => one.id,
                  },
                  { key: 'at', title: t('settings.backup.at'), cell: (one) => <code>{one.at}</code> },
                  {
                    key: 'bytes',
                    title: t('settings.backup.bytes'),
                    end: true,
                    cell: (one) => <Bytes of={one.bytes} />,
                  },
                  {
                    key: 'kept',
                    title: t('settings.backup.kept'),
                    end: true,
                    cell: (one) => <Bytes of={one.kept_bytes} />,
                  },
                ]}
              />
            )
          }
        </Await>
      )}
    </Section>
  )
}

function Log() {
  const t = useText()
  const verify = api.useMutation('post', '/api/v1/log/verify')
  return (
    <Section
      title={t('settings.log')}
      actions={
        <May do="system.use">
          <Button busy={verify.isPending} onClick={() => verify.mutate({})}>
            {t('settings.log.verify')}
          </Button>
        </May>
      }
    >
      <p>{t('settings.log.text')}</p>
      <Failure of={verify.error} />
      {verify.data && (
        <Notice tone={verify.data.whole ? 'good' : 'bad'}>
          <strong>{verify.data.whole ? t('settings.log.whole') : t('settings.log.broken')}</strong>
          <span>{t('settings.log.read', { blocks: verify.data.blocks, records: verify.data.records })}</span>
          {verify.data.faults.map((one) => (
            <span key={one}>{one}</span>
          ))}
        </Notice>
      )}
    </Section>
  )
}

function Rebuild() {
  const t = useText()
  const [asking, setAsking] = useState(false)
  const rebuild = api.useMutation('post', '/api/v1/rebuild')
  return (
    <Section
      title={t('settings.rebuild')}
      actions={
        <May do="system.use">
          <Button onClick={() => setAsking(true)}>{t('settings.rebuild')}</Button>
        </May>
      }
    >
      <p>{t('settings.rebuild.text')}</p>
      {rebuild.data && <Notice tone="good">{t('settings.rebuild.done', { count: rebuild.data.records })}</Notice>}
      {asking && (
        <Confirm
          title={t('settings.rebuild')}
          action={t('settings.rebuild')}
          onConfirm={() => rebuild.mutateAsync({})}
          onClose={() => setAsking(false)}
        >
          <p>{t('settings.rebuild.ask')}</p>
        </Confirm>
      )}
    </Section>
  )
}

export function System() {
  const t = useText()
  const stats = api.useQuery('get', '/api/v1/stats', {}, { refetchInterval: 5_000 })
  return (
    <Frame>
      <Page title={t('settings.system')} lead={t('settings.system.lead')}>
        <Await of={stats}>
          {(now) => (
            <Facts
              of={[
                [t('settings.applied'), <Num key="applied" of={now.applied} />],
                [
                  t('settings.lag'),
                  <Badge key="lag" tone={now.lag > 10_000 ? 'warn' : 'good'}>
                    <Num of={now.lag} />
                  </Badge>,
                ],
                [t('settings.asOf'), <Time key="as-of" of={now.as_of} exact />],
              ]}
            />
          )}
        </Await>
        <Backups />
        <Log />
        <Rebuild />
      </Page>
    </Frame>
  )
}
