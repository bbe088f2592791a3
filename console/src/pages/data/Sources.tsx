// Where events come from, and how a site or an app begins to send them.
import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Confirm, Dialog, DialogFoot } from '~/ui/Dialog'
import { Form, TextField } from '~/ui/Field'
import { Await, Badge, Empty, Failure, Notice, Page, Section, Time } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame } from './Data'

type Source = Shape<'SourceView'>

/** What to put into a site or a program, by the SDK it has. */
function snippets(key: string): [string, string][] {
  const url = window.location.origin
  return [
    [
      '@segment/analytics-next',
      `import { AnalyticsBrowser } from '@segment/analytics-next'\nconst analytics = AnalyticsBrowser.load({ writeKey: '${key}', cdnURL: '${url}' })\nanalytics.track('Product Viewed', { category: 'shoes' })`,
    ],
    [
      '@rudderstack/analytics-js',
      `import { RudderAnalytics } from '@rudderstack/analytics-js'\nconst analytics = new RudderAnalytics()\nanalytics.load('${key}', '${url}', { configUrl: '${url}' })\nanalytics.track('Product Viewed', { category: 'shoes' })`,
    ],
    [
      'Python',
      `import segment.analytics as analytics\nanalytics.write_key = '${key}'\nanalytics.host = '${url}'\nanalytics.track('u1', 'Order Completed', {'revenue': 20})`,
    ],
    [
      'curl',
      `curl -u ${key}: ${url}/v1/track -d '{"userId":"u1","event":"Order Completed","properties":{"revenue":20}}'`,
    ],
  ]
}

/** The write key, shown this once, and how to use it. */
function Made({ source, onClose }: { source: Shape<'MadeSource'>; onClose: () => void }) {
  const t = useText()
  const say = useSay()
  const copy = () => void navigator.clipboard.writeText(source.write_key).then(() => say(t('data.copied')))
  return (
    <Dialog title={t('data.made', { name: source.name })} open onClose={onClose} wide>
      <Notice tone="warn">{t('data.keyOnce')}</Notice>
      <p>
        <code>{source.write_key}</code> <Button onClick={copy}>{t('data.copy')}</Button>
      </p>
      {snippets(source.write_key).map(([name, text]) => (
        <Section key={name} title={name}>
          <pre>{text}</pre>
        </Section>
      ))}
      <DialogFoot>
        <Button look="main" onClick={onClose}>
          {t('ui.close')}
        </Button>
      </DialogFoot>
    </Dialog>
  )
}

function Add({ onMade, onClose }: { onMade: (source: Shape<'MadeSource'>) => void; onClose: () => void }) {
  const t = useText()
  const [name, setName] = useState('')
  const add = api.useMutation('post', '/api/v1/sources', { onSuccess: onMade })
  return (
    <Dialog title={t('data.add')} open onClose={onClose}>
      <Form onSubmit={() => add.mutate({ body: { name: name.trim() } })}>
        <TextField
          label={t('data.name')}
          hint={t('data.name.hint')}
          required
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <Failure of={add.error} />
        <DialogFoot>
          <Button onClick={onClose}>{t('ui.cancel')}</Button>
          <Button type="submit" look="main" busy={add.isPending} disabled={name.trim() === ''}>
            {t('data.add')}
          </Button>
        </DialogFoot>
      </Form>
    </Dialog>
  )
}

function SourceLink({ name }: Source) {
  return (
    <Link to="/data/sources/$name" params={{ name }}>
      {name}
    </Link>
  )
}

export function Sources() {
  const t = useText()
  const say = useSay()
  const cache = useQueryClient()
  const { can } = useSession()
  const [adding, setAdding] = useState(false)
  const [made, setMade] = useState<Shape<'MadeSource'>>()
  const [rotated, setRotated] = useState<string>()
  const asked = api.useQuery('get', '/api/v1/sources', {})
  const refresh = () => void cache.invalidateQueries({ queryKey: ['get', '/api/v1/sources'] })
  const change = api.useMutation('patch', '/api/v1/sources/{name}', { onSuccess: refresh, onError: say.problem })
  const rotate = api.useMutation('post', '/api/v1/sources/{name}/key')
  const add = (
    <May do="sources.edit">
      <Button look="main" onClick={() => setAdding(true)}>
        {t('data.add')}
      </Button>
    </May>
  )
  return (
    <Frame>
      <Page title={t('data.sources')} lead={t('data.sources.lead')} actions={add}>
        <Await of={asked}>
          {(sources) =>
            sources.length === 0 ? (
              <Empty title={t('data.none')} action={add}>
                {t('data.none.text')}
              </Empty>
            ) : (
              <Table<Source>
                label={t('data.sources')}
                rows={sources}
                rowKey={(one) => one.name}
                columns={[
                  { key: 'name', title: t('data.name'), cell: SourceLink, sort: (one) => one.name },
                  { key: 'kind', title: t('data.kind'), cell: (one) => one.kind, sort: (one) => one.kind },
                  {
                    key: 'enabled',
                    title: t('data.state'),
                    cell: (one) => (
                      <Badge tone={one.enabled ? 'good' : 'warn'}>{one.enabled ? t('data.on') : t('data.off')}</Badge>
                    ),
                  },
                  { key: 'key', title: t('data.key'), cell: (one) => <code>…{one.key_hint}</code> },
                  { key: 'since', title: t('data.since'), cell: (one) => <Time of={one.created_at} /> },
                  ...(can('sources.edit')
                    ? [
                        {
                          key: 'action',
                          title: t('data.action'),
                          cell: ({ name, enabled }: Source) => (
                            <>
                              <Button
                                look="quiet"
                                onClick={() =>
                                  change.mutate({ params: { path: { name } }, body: { enabled: !enabled } })
                                }
                              >
                                {enabled ? t('data.turnOff') : t('data.turnOn')}{' '}
                                <span className="hidden-text">{name}</span>
                              </Button>
                              <Button look="quiet" onClick={() => setRotated(name)}>
                                {t('data.newKey')} <span className="hidden-text">{name}</span>
                              </Button>
                            </>
                          ),
                        },
                      ]
                    : []),
                ]}
              />
            )
          }
        </Await>
        {adding && (
          <Add
            onClose={() => setAdding(false)}
            onMade={(source) => {
              setAdding(false)
              setMade(source)
              refresh()
            }}
          />
        )}
        {made && <Made source={made} onClose={() => setMade(undefined)} />}
        {rotated !== undefined && (
          <Confirm
            title={t('data.newKey.title', { name: rotated })}
            action={t('data.newKey')}
            danger
            onConfirm={async () => {
              setMade(await rotate.mutateAsync({ params: { path: { name: rotated } } }))
              refresh()
            }}
            onClose={() => setRotated(undefined)}
          >
            <p>{t('data.newKey.text')}</p>
          </Confirm>
        )}
      </Page>
    </Frame>
  )
}
