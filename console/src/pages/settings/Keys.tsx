// The keys of programs.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Confirm, Dialog, DialogFoot, FormDialog } from '~/ui/Dialog'
import { listed, SelectField, TextField, useTexts } from '~/ui/Field'
import { Await, Badge, Empty, Notice, Page, Time } from '~/ui/Page'
import { type Column, Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame, ROLES } from './Settings'

type Key = Shape<'KeyView'>

function Make({ onMade, onClose }: { onMade: (made: Shape<'KeyMade'>) => void; onClose: () => void }) {
  const t = useText()
  const { texts, bind } = useTexts({ name: '', role: 'developer', days: '', only: '' })
  const make = api.useMutation('post', '/api/v1/keys', { onSuccess: onMade })
  const submit = () => {
    const { name, role, days } = texts
    const only = listed(texts.only)
    const body = {
      name: name.trim(),
      role,
      ...(days !== '' && { days: Number(days) }),
      ...(only.length > 0 && { only }),
    }
    return make.mutateAsync({ body })
  }
  return (
    <FormDialog
      title={t('settings.key.make')}
      action={t('settings.key.make')}
      incomplete={texts.name.trim() === ''}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextField label={t('settings.name')} hint={t('settings.key.name.hint')} required {...bind('name')} />
      <SelectField
        label={t('settings.role')}
        options={ROLES.map((value) => ({ value, label: t(`settings.role.${value}`) }))}
        {...bind('role')}
      />
      <TextField
        label={t('settings.key.days')}
        hint={t('settings.key.days.hint')}
        type="number"
        min={1}
        {...bind('days')}
      />
      <TextField label={t('settings.only')} hint={t('settings.only.hint')} {...bind('only')} />
    </FormDialog>
  )
}

function Made({ of, onClose }: { of: Shape<'KeyMade'>; onClose: () => void }) {
  const t = useText()
  const say = useSay()
  return (
    <Dialog title={t('settings.key.made')} open onClose={onClose} wide>
      <Notice tone="warn">{t('settings.key.once')}</Notice>
      <p>
        <code>{of.key}</code>
      </p>
      <pre>{`curl -H 'Authorization: Bearer ${of.key}' ${window.location.origin}/api/v1/stats`}</pre>
      <DialogFoot>
        <Button onClick={() => void navigator.clipboard.writeText(of.key).then(() => say(t('settings.copied')))}>
          {t('settings.copy')}
        </Button>
        <Button look="main" onClick={onClose}>
          {t('ui.close')}
        </Button>
      </DialogFoot>
    </Dialog>
  )
}

function State({ of }: { of: Key }) {
  const t = useText()
  if (of.revoked) return <Badge tone="warn">{t('settings.key.revoked')}</Badge>
  if (of.expires && new Date(of.expires) < new Date()) return <Badge tone="warn">{t('settings.key.expired')}</Badge>
  return <Badge tone="good">{t('settings.state.active')}</Badge>
}

export function Keys() {
  const t = useText()
  const { can } = useSession()
  const asked = api.useQuery('get', '/api/v1/keys', {})
  const refresh = useRefresh('/api/v1/keys')
  const revoke = api.useMutation('delete', '/api/v1/keys/{number}', { onSuccess: refresh })
  const [making, setMaking] = useState(false)
  const [made, setMade] = useState<Shape<'KeyMade'>>()
  const [revoked, setRevoked] = useState<Key>()
  const make = (
    <May do="people.edit">
      <Button look="main" onClick={() => setMaking(true)}>
        {t('settings.key.make')}
      </Button>
    </May>
  )
  const action: Column<Key> = {
    key: 'action',
    title: t('settings.action'),
    cell: (one) =>
      !one.revoked && (
        <Button look="quiet" onClick={() => setRevoked(one)}>
          {t('settings.key.revoke')}
          <span className="hidden-text">{one.name}</span>
        </Button>
      ),
  }
  return (
    <Frame>
      <Page title={t('settings.keys')} lead={t('settings.keys.lead')} actions={make}>
        <Await of={asked}>
          {(keys) =>
            keys.length === 0 ? (
              <Empty title={t('settings.keys.none')} action={make}>
                {t('settings.keys.none.text')}
              </Empty>
            ) : (
              <Table<Key>
                label={t('settings.keys')}
                rows={keys}
                rowKey={(one) => one.number}
                columns={[
                  { key: 'name', title: t('settings.name'), cell: (one) => one.name, sort: (one) => one.name },
                  { key: 'state', title: t('settings.state'), cell: (one) => <State of={one} /> },
                  { key: 'roles', title: t('settings.roles'), cell: (one) => one.roles.join(', ') },
                  { key: 'end', title: t('settings.key'), cell: (one) => <code>…{one.ends_with}</code> },
                  { key: 'by', title: t('settings.key.by'), cell: (one) => one.made_by },
                  {
                    key: 'used',
                    title: t('settings.key.used'),
                    cell: (one) => (one.used ? <Time of={one.used} /> : t('settings.never')),
                  },
                  {
                    key: 'expires',
                    title: t('settings.key.expires'),
                    cell: (one) => (one.expires ? <Time of={one.expires} /> : t('settings.never')),
                  },
                  ...(can('people.edit') ? [action] : []),
                ]}
              />
            )
          }
        </Await>
        {making && (
          <Make
            onMade={(key) => {
              setMade(key)
              refresh()
            }}
            onClose={() => setMaking(false)}
          />
        )}
        {made && <Made of={made} onClose={() => setMade(undefined)} />}
        {revoked && (
          <Confirm
            title={t('settings.key.revoke.title', { name: revoked.name })}
            action={t('settings.key.revoke')}
            danger
            onConfirm={() => revoke.mutateAsync({ params: { path: { number: revoked.number } } })}
            onClose={() => setRevoked(undefined)}
          >
            <p>{t('settings.key.revoke.text')}</p>
          </Confirm>
        )}
      </Page>
    </Frame>
  )
}
