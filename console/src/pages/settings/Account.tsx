// Oneself: who one is here, what one sees, the password and the second factor.
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Form, TextField } from '~/ui/Field'
import { Badge, Card, Facts, Failure, Notice, Page, Section } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame } from './Settings'

function Password() {
  const t = useText()
  const say = useSay()
  const [before, setBefore] = useState('')
  const [after, setAfter] = useState('')
  const change = api.useMutation('post', '/api/v1/session/password', {
    onSuccess: () => {
      say(t('settings.password.changed'))
      setBefore('')
      setAfter('')
    },
  })
  return (
    <Section title={t('settings.password')}>
      <Card>
        <Form onSubmit={() => change.mutate({ body: { old: before, new: after } })}>
          <TextField
            label={t('settings.password.old')}
            type="password"
            autoComplete="current-password"
            value={before}
            onChange={(event) => setBefore(event.target.value)}
          />
          <TextField
            label={t('settings.password.new')}
            hint={t('settings.password.hint')}
            type="password"
            autoComplete="new-password"
            value={after}
            onChange={(event) => setAfter(event.target.value)}
          />
          <Failure of={change.error} />
          <Button type="submit" busy={change.isPending} disabled={before === '' || after === ''}>
            {t('settings.password.change')}
          </Button>
        </Form>
      </Card>
    </Section>
  )
}

/** A secret in groups of four, as people type it. */
const grouped = (secret: string): string => secret.replaceAll(/(.{4})/g, '$1 ').trim()

function SecondFactor({ has }: { has: boolean }) {
  const t = useText()
  const say = useSay()
  const cache = useQueryClient()
  const [offered, setOffered] = useState<Shape<'FactorOffered'>>()
  const [code, setCode] = useState('')
  const [password, setPassword] = useState('')
  const done = () => {
    setOffered(undefined)
    setCode('')
    setPassword('')
    say(t('settings.factor.changed'))
    void cache.invalidateQueries({ queryKey: ['get', '/api/v1/session'] })
  }
  const offer = api.useMutation('post', '/api/v1/session/second-factor', { onSuccess: setOffered })
  const take = api.useMutation('put', '/api/v1/session/second-factor', { onSuccess: done })
  const drop = api.useMutation('delete', '/api/v1/session/second-factor', { onSuccess: done })
  const submit = () => {
    if (has) drop.mutate({ body: { password } })
    else if (offered) take.mutate({ body: { secret: offered.secret, code, password } })
  }
  return (
    <Section title={t('settings.factor')}>
      <Card>
        <p>
          <Badge tone={has ? 'good' : 'warn'}>{has ? t('settings.factor.on') : t('settings.factor.off')}</Badge>
        </p>
        {!has && !offered && (
          <Button busy={offer.isPending} onClick={() => offer.mutate({})}>
            {t('settings.factor.begin')}
          </Button>
        )}
        {(has || offered) && (
          <Form onSubmit={submit}>
            {offered && (
              <>
                <Notice>
                  <span>{t('settings.factor.secret')}</span>
                  <code>{grouped(offered.secret)}</code>
                  <a href={offered.url}>{t('settings.factor.open')}</a>
                </Notice>
                <TextField
                  label={t('settings.factor.code')}
                  inputMode="numeric"
                  autoComplete="one-time-code"
                  value={code}
                  onChange={(event) => setCode(event.target.value)}
                />
              </>
            )}
            <TextField
              label={t('settings.factor.password')}
              type="password"
              autoComplete="current-password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
            <Button
              type="submit"
              look={has ? 'danger' : 'main'}
              busy={take.isPending || drop.isPending}
              disabled={password === '' || (!has && code === '')}
            >
              {has ? t('settings.factor.drop') : t('settings.factor.take')}
            </Button>
          </Form>
        )}
        <Failure of={offer.error ?? take.error ?? drop.error} />
      </Card>
    </Section>
  )
}

export function Account() {
  const t = useText()
  const { me } = useSession()
  const classes = ['identifier', 'contact', 'sensitive', 'special_category', 'financial', 'free'] as const
  return (
    <Frame>
      <Page title={t('settings.account')} lead={t('settings.account.lead')}>
        <Facts
          of={[
            [t('settings.name'), me.name],
            [t('settings.email'), me.email ?? '–'],
            [t('settings.caller'), <code key="caller">{me.caller}</code>],
          ]}
        />
        <Section title={t('settings.roles')}>
          <Table<Shape<'RoleHere'>>
            label={t('settings.roles')}
            rows={me.workspaces}
            rowKey={(one, place) => `${one.workspace} ${one.role} ${place}`}
            columns={[
              { key: 'workspace', title: t('settings.workspace'), cell: (one) => one.workspace },
              { key: 'role', title: t('settings.role'), cell: (one) => one.role },
              {
                key: 'only',
                title: t('settings.only'),
                cell: (one) => one.only?.join(', ') ?? t('settings.everybody'),
              },
              ...classes.map((name) => ({
                key: name,
                title: t(`settings.class.${name}`),
                cell: ({ sees }: Shape<'RoleHere'>) => sees[name],
              })),
            ]}
          />
        </Section>
        <Password />
        <SecondFactor has={me.second_factor} />
      </Page>
    </Frame>
  )
}
