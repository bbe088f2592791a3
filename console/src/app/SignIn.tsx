// The way in.
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '~/api/client'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Form, TextField } from '~/ui/Field'
import { Card, Empty, Failure, Page } from '~/ui/Page'
import { LanguageMenu } from './Shell'
import styles from './shell.module.css'

export function SignIn() {
  const t = useText()
  const cache = useQueryClient()
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const [code, setCode] = useState('')
  const enter = api.useMutation('post', '/api/v1/session', {
    onSuccess: (me) => cache.setQueryData(api.queryOptions('get', '/api/v1/session', {}).queryKey, me),
  })
  const needsCode = enter.error?.code === 'second_factor'
  const submit = () => enter.mutate({ body: { email, password, ...(code && { code }) } })
  return (
    <main className={styles.alone}>
      <Page title={t('app.signIn.title')} lead={t('app.signIn.lead')} actions={<LanguageMenu />}>
        <Card>
          <Form onSubmit={submit}>
            <TextField
              label={t('app.signIn.email')}
              type="email"
              autoComplete="username"
              required
              value={email}
              onChange={(event) => setEmail(event.target.value)}
            />
            <TextField
              label={t('app.signIn.password')}
              type="password"
              autoComplete="current-password"
              required
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
            {(needsCode || code !== '') && (
              <TextField
                label={t('app.signIn.code')}
                inputMode="numeric"
                autoComplete="one-time-code"
                value={code}
                onChange={(event) => setCode(event.target.value)}
              />
            )}
            {enter.error && <Failure of={enter.error} />}
            <Button type="submit" look="main" busy={enter.isPending}>
              {t('app.signIn.enter')}
            </Button>
          </Form>
        </Card>
      </Page>
    </main>
  )
}

/** Signed in, and in no workspace. */
export function NoWorkspace({ name }: { name: string }) {
  const t = useText()
  const leave = api.useMutation('delete', '/api/v1/session', { onSuccess: () => window.location.reload() })
  return (
    <main className={styles.alone}>
      <Empty
        title={t('app.nowhere.title', { name })}
        action={<Button onClick={() => leave.mutate({})}>{t('app.signOut')}</Button>}
      >
        {t('app.nowhere.text')}
      </Empty>
    </main>
  )
}
