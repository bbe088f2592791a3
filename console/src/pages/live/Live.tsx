// Events as they enter, and those that were refused.
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { api, headers, problemOf, type Shape } from '~/api/client'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Row, SelectField, TextField } from '~/ui/Field'
import { Await, Badge, Empty, Failure, Notice, Page, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { Tabs } from '~/ui/Tabs'
import { useSay } from '~/ui/toast'
import styles from './live.module.css'
import { follow } from './stream'

/** Older ones make room. */
const SHOWN_MAX = 500
/** After a lost connection the next try. */
const AGAIN_MS = 2_000

type Event = { type: string; event?: string; userId?: string; anonymousId?: string; receivedAt?: string }
type Line = { id: string; text: string; event: Event }

/** The newest first, while `on`. */
function useEvents(on: boolean) {
  const [lines, setLines] = useState<Line[]>([])
  const [missed, setMissed] = useState(0)
  const [lost, setLost] = useState<unknown>()
  useEffect(() => {
    if (!on) return
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const listen = () => {
      const take = follow('/api/v1/stream', headers(), stop.signal, (sent) => {
        setLost(undefined)
        const fresh = sent.filter((one) => one.event === 'accepted')
        const gone = sent.filter((one) => one.event === 'missed').reduce((sum, one) => sum + Number(one.data), 0)
        if (gone > 0) setMissed((before) => before + gone)
        const parsed = fresh.map((one) => ({ id: one.id, text: one.data, event: JSON.parse(one.data) as Event }))
        setLines((before) => [...parsed.reverse(), ...before].slice(0, SHOWN_MAX))
      })
      const again = (error?: unknown) => {
        if (stop.signal.aborted) return
        setLost(error ?? { code: 'unreachable' })
        // What the server refuses it refuses again.
        if (problemOf(error).code !== 'forbidden') timer = setTimeout(listen, AGAIN_MS)
      }
      take.then(() => again(), again)
    }
    listen()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [on])
  return { lines, missed, lost, clear: () => setLines([]) }
}

function Stream() {
  const t = useText()
  const [on, setOn] = useState(true)
  const [text, setText] = useState('')
  const [type, setType] = useState('')
  const { lines, missed, lost, clear } = useEvents(on)
  const wanted = text.trim().toLowerCase()
  const shown = lines.filter(
    (line) => (type === '' || line.event.type === type) && line.text.toLowerCase().includes(wanted),
  )
  const types = ['track', 'identify', 'page', 'screen', 'group', 'alias', 'object']
  return (
    <>
      <Row>
        <TextField label={t('live.filter')} value={text} onChange={(event) => setText(event.target.value)} />
        <SelectField
          label={t('live.type')}
          value={type}
          onChange={(event) => setType(event.target.value)}
          options={[{ value: '', label: t('live.type.all') }, ...types.map((value) => ({ value, label: value }))]}
        />
        <Button onClick={() => setOn(!on)} aria-pressed={!on}>
          {on ? t('live.pause') : t('live.resume')}
        </Button>
        <Button onClick={clear}>{t('live.clear')}</Button>
      </Row>
      {missed > 0 && <Notice>{t('live.missed', { count: missed })}</Notice>}
      {lost !== undefined &&
        (problemOf(lost).code === 'forbidden' ? <Failure of={lost} /> : <Notice tone="warn">{t('live.lost')}</Notice>)}
      {shown.length === 0 ? (
        <Empty title={on ? t('live.waiting') : t('live.paused')}>{t('live.waiting.text')}</Empty>
      ) : (
        <ol className={styles.lines}>
          {shown.map(({ id, event, text: json }) => (
            <li key={id}>
              <details>
                <summary>
                  <Badge tone="accent">{event.type}</Badge> <strong>{event.event}</strong>{' '}
                  {event.userId ?? event.anonymousId} {event.receivedAt && <Time of={event.receivedAt} />}
                </summary>
                <pre>{JSON.stringify(JSON.parse(json), null, 2)}</pre>
              </details>
            </li>
          ))}
        </ol>
      )}
    </>
  )
}

function Refused() {
  const t = useText()
  const say = useSay()
  const cache = useQueryClient()
  const { can } = useSession()
  const asked = api.useQuery('get', '/api/v1/dead-letters', {})
  const retry = api.useMutation('post', '/api/v1/dead-letters/retry', {
    onSuccess: ({ accepted, refused }) => {
      say(t('live.retried', { accepted, refused }))
      void cache.invalidateQueries({ queryKey: ['get', '/api/v1/dead-letters'] })
    },
    onError: say.problem,
  })
  return (
    <Await of={asked}>
      {(letters) =>
        letters.length === 0 ? (
          <Empty title={t('live.noneRefused')} />
        ) : (
          <>
            {can('letters.use') && (
              <div>
                <Button busy={retry.isPending} onClick={() => retry.mutate({})}>
                  {t('live.retry')}
                </Button>
              </div>
            )}
            <Table<Shape<'LetterView'>>
              label={t('live.refused')}
              rows={letters}
              rowKey={(one) => one.id}
              columns={[
                { key: 'at', title: t('live.when'), cell: (one) => <Time of={one.at} />, sort: (one) => one.at },
                { key: 'code', title: t('live.code'), cell: (one) => <code>{one.code}</code>, sort: (one) => one.code },
                { key: 'reason', title: t('live.reason'), cell: (one) => one.reason },
                { key: 'state', title: t('live.state'), cell: (one) => <Badge>{one.state}</Badge> },
              ]}
            />
          </>
        )
      }
    </Await>
  )
}

export function Live() {
  const t = useText()
  const { can } = useSession()
  const tabs = [
    ...(can('events.view') ? [{ value: 'stream', label: t('live.stream'), content: <Stream /> }] : []),
    ...(can('letters.view') ? [{ value: 'refused', label: t('live.refused'), content: <Refused /> }] : []),
  ]
  return (
    <Page title={t('live.title')} lead={t('live.lead')}>
      <Tabs tabs={tabs} />
    </Page>
  )
}
