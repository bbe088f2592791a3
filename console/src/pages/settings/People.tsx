// Who works here, in which teams, and with which roles.
import { type ComponentProps, useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Confirm, Dialog, DialogFoot, FormDialog } from '~/ui/Dialog'
import { CheckField, listed, SelectField, TextField, useTexts } from '~/ui/Field'
import { Await, Badge, Empty, Notice, Page, Section, Time } from '~/ui/Page'
import { type Column, Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame, ROLES } from './Settings'

type Person = Shape<'PersonView'>
type Grant = Shape<'GrantForm'>

const TONE = { active: 'good', invited: 'accent', disabled: 'warn' } as const

/** Which role, and whether everywhere or only for the members of some segments. */
function RoleFields({ bind, everywhere, setEverywhere }: RoleForm) {
  const t = useText()
  const { can } = useSession()
  const names = ROLES.map((value) => ({ value, label: t(`settings.role.${value}`) }))
  return (
    <>
      <SelectField label={t('settings.role')} options={names} {...bind('role')} />
      <TextField label={t('settings.only')} hint={t('settings.only.hint')} {...bind('only')} />
      {can('workspaces.edit') && (
        <CheckField
          label={t('settings.everywhere')}
          checked={everywhere}
          onChange={(event) => setEverywhere(event.target.checked)}
        />
      )}
    </>
  )
}

type RoleForm = {
  bind: (name: 'role' | 'only') => ComponentProps<'input'> & ComponentProps<'select'>
  everywhere: boolean
  setEverywhere: (everywhere: boolean) => void
}

function Invite({ onMade, onClose }: { onMade: (made: Shape<'Invited'>) => void; onClose: () => void }) {
  const t = useText()
  const { texts, bind } = useTexts({ email: '', name: '', role: 'marketer', only: '' })
  const [everywhere, setEverywhere] = useState(false)
  const invite = api.useMutation('post', '/api/v1/people')
  const submit = async () => {
    const only = listed(texts.only)
    const { email, name, role } = texts
    const made = await invite.mutateAsync({
      body: { email: email.trim(), name, role, everywhere, ...(only.length > 0 && { only }) },
    })
    onMade(made)
  }
  return (
    <FormDialog
      title={t('settings.invite')}
      action={t('settings.invite')}
      incomplete={!texts.email.includes('@')}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextField label={t('settings.email')} type="email" required {...bind('email')} />
      <TextField label={t('settings.name')} {...bind('name')} />
      <RoleFields {...{ bind, everywhere, setEverywhere }} />
    </FormDialog>
  )
}

function Give({ onClose }: { onClose: () => void }) {
  const t = useText()
  const refresh = useRefresh('/api/v1/grants', '/api/v1/people')
  const { texts, bind } = useTexts({ holder: '', role: 'marketer', only: '' })
  const [everywhere, setEverywhere] = useState(false)
  const give = api.useMutation('put', '/api/v1/grants', { onSuccess: refresh })
  const submit = () => {
    const only = listed(texts.only)
    const body = { holder: texts.holder.trim(), role: texts.role, everywhere, ...(only.length > 0 && { only }) }
    return give.mutateAsync({ body })
  }
  return (
    <FormDialog
      title={t('settings.give')}
      action={t('settings.give')}
      incomplete={texts.holder.trim() === ''}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextField label={t('settings.holder')} hint={t('settings.holder.hint')} required {...bind('holder')} />
      <RoleFields {...{ bind, everywhere, setEverywhere }} />
    </FormDialog>
  )
}

function Team({ onClose }: { onClose: () => void }) {
  const t = useText()
  const refresh = useRefresh('/api/v1/people')
  const { texts, bind } = useTexts({ team: '', email: '' })
  const put = api.useMutation('put', '/api/v1/teams/{team}/members/{email}', { onSuccess: refresh })
  const path = { team: texts.team.trim(), email: texts.email.trim() }
  return (
    <FormDialog
      title={t('settings.team.add')}
      action={t('settings.team.add')}
      incomplete={path.team === '' || path.email === ''}
      onSubmit={() => put.mutateAsync({ params: { path } })}
      onClose={onClose}
    >
      <TextField label={t('settings.team')} required {...bind('team')} />
      <TextField label={t('settings.email')} type="email" required {...bind('email')} />
    </FormDialog>
  )
}

/** A link by which somebody chooses a password, shown this once. */
function Link({ of, onClose }: { of: Shape<'Invited'>; onClose: () => void }) {
  const t = useText()
  const say = useSay()
  const link = new URL(of.link, window.location.origin).href
  return (
    <Dialog title={t('settings.link', { email: of.email })} open onClose={onClose} wide>
      <Notice tone="warn">{t('settings.link.once')}</Notice>
      <p>
        <code>{link}</code>
      </p>
      <DialogFoot>
        <Button onClick={() => void navigator.clipboard.writeText(link).then(() => say(t('settings.copied')))}>
          {t('settings.copy')}
        </Button>
        <Button look="main" onClick={onClose}>
          {t('ui.close')}
        </Button>
      </DialogFoot>
    </Dialog>
  )
}

function Grants() {
  const t = useText()
  const { can } = useSession()
  const asked = api.useQuery('get', '/api/v1/grants', {})
  const refresh = useRefresh('/api/v1/grants', '/api/v1/people')
  const take = api.useMutation('delete', '/api/v1/grants')
  const [giving, setGiving] = useState(false)
  const [taken, setTaken] = useState<Grant>()
  const action: Column<Grant> = {
    key: 'action',
    title: t('settings.action'),
    cell: (one) => (
      <Button look="quiet" onClick={() => setTaken(one)}>
        {t('settings.take')}
        <span className="hidden-text">
          {one.role} {one.holder}
        </span>
      </Button>
    ),
  }
  return (
    <Section
      title={t('settings.roles')}
      actions={
        <May do="people.edit">
          <Button onClick={() => setGiving(true)}>{t('settings.give')}</Button>
        </May>
      }
    >
      <Await of={asked}>
        {(grants) =>
          grants.length === 0 ? (
            <Empty title={t('settings.grants.none')} />
          ) : (
            <Table<Grant>
              label={t('settings.roles')}
              rows={grants}
              rowKey={(one, place) => `${one.holder} ${one.role} ${place}`}
              columns={[
                { key: 'holder', title: t('settings.holder'), cell: (one) => one.holder, sort: (one) => one.holder },
                { key: 'role', title: t('settings.role'), cell: (one) => one.role, sort: (one) => one.role },
                {
                  key: 'only',
                  title: t('settings.only'),
                  cell: (one) => one.only?.join(', ') ?? t('settings.everybody'),
                },
                {
                  key: 'where',
                  title: t('settings.where'),
                  cell: (one) => (one.everywhere ? t('settings.everywhere') : t('settings.here')),
                },
                ...(can('people.edit') ? [action] : []),
              ]}
            />
          )
        }
      </Await>
      {giving && <Give onClose={() => setGiving(false)} />}
      {taken && (
        <Confirm
          title={t('settings.take.title', { role: taken.role, holder: taken.holder })}
          action={t('settings.take')}
          danger
          onConfirm={async () => {
            const { holder, role, everywhere } = taken
            await take.mutateAsync({ params: { query: { holder, role, everywhere: everywhere === true } } })
            refresh()
          }}
          onClose={() => setTaken(undefined)}
        >
          <p>{t('settings.take.text')}</p>
        </Confirm>
      )}
    </Section>
  )
}

export function People() {
  const t = useText()
  const say = useSay()
  const { can } = useSession()
  const asked = api.useQuery('get', '/api/v1/people', {})
  const refresh = useRefresh('/api/v1/people', '/api/v1/grants')
  const [open, setOpen] = useState<'invite' | 'team'>()
  const [made, setMade] = useState<Shape<'Invited'>>()
  const [ended, setEnded] = useState<Person>()
  const change = api.useMutation('patch', '/api/v1/people/{email}', { onSuccess: refresh, onError: say.problem })
  const link = api.useMutation('post', '/api/v1/people/{email}/link')
  const leave = api.useMutation('delete', '/api/v1/teams/{team}/members/{email}', {
    onSuccess: refresh,
    onError: say.problem,
  })
  const action: Column<Person> = {
    key: 'action',
    title: t('settings.action'),
    cell: ({ email, state }) => (
      <>
        <Button
          look="quiet"
          onClick={() => change.mutate({ params: { path: { email } }, body: { enabled: state === 'disabled' } })}
        >
          {state === 'disabled' ? t('settings.enable') : t('settings.disable')}
          <span className="hidden-text">{email}</span>
        </Button>
        <Button look="quiet" onClick={() => setEnded(asked.data?.find((one) => one.email === email))}>
          {t('settings.newLink')}
          <span className="hidden-text">{email}</span>
        </Button>
      </>
    ),
  }
  return (
    <Frame>
      <Page
        title={t('settings.people')}
        lead={t('settings.people.lead')}
        actions={
          <May do="people.edit">
            <Button onClick={() => setOpen('team')}>{t('settings.team.add')}</Button>
            <Button look="main" onClick={() => setOpen('invite')}>
              {t('settings.invite')}
            </Button>
          </May>
        }
      >
        <Await of={asked}>
          {(people) =>
            people.length === 0 ? (
              <Empty title={t('settings.people.none')}>{t('settings.people.none.text')}</Empty>
            ) : (
              <Table<Person>
                label={t('settings.people')}
                rows={people}
                rowKey={(one) => one.email}
                columns={[
                  { key: 'email', title: t('settings.email'), cell: (one) => one.email, sort: (one) => one.email },
                  { key: 'name', title: t('settings.name'), cell: (one) => one.name, sort: (one) => one.name },
                  {
                    key: 'state',
                    title: t('settings.state'),
                    cell: (one) => (
                      <Badge tone={TONE[one.state as keyof typeof TONE] ?? 'plain'}>
                        {t(`settings.state.${one.state}`)}
                      </Badge>
                    ),
                    sort: (one) => one.state,
                  },
                  { key: 'roles', title: t('settings.roles'), cell: (one) => one.roles.join(', ') },
                  {
                    key: 'teams',
                    title: t('settings.teams'),
                    cell: ({ teams, email }) =>
                      teams.map((team) => (
                        <Badge key={team}>
                          {team}{' '}
                          {can('people.edit') && (
                            <button
                              type="button"
                              aria-label={t('settings.team.leave', { email, team })}
                              onClick={() => leave.mutate({ params: { path: { team, email } } })}
                            >
                              ×
                            </button>
                          )}
                        </Badge>
                      )),
                  },
                  {
                    key: 'factor',
                    title: t('settings.factor'),
                    cell: (one) => (one.second_factor ? t('settings.yes') : t('settings.no')),
                  },
                  { key: 'since', title: t('settings.since'), cell: (one) => <Time of={one.since} /> },
                  ...(can('people.edit') ? [action] : []),
                ]}
              />
            )
          }
        </Await>
        <Grants />
        {open === 'invite' && (
          <Invite
            onMade={(invited) => {
              setMade(invited)
              refresh()
            }}
            onClose={() => setOpen(undefined)}
          />
        )}
        {open === 'team' && <Team onClose={() => setOpen(undefined)} />}
        {made && <Link of={made} onClose={() => setMade(undefined)} />}
        {ended && (
          <Confirm
            title={t('settings.newLink.title', { email: ended.email })}
            action={t('settings.newLink')}
            danger
            onConfirm={async () => setMade(await link.mutateAsync({ params: { path: { email: ended.email } } }))}
            onClose={() => setEnded(undefined)}
          >
            <p>{t('settings.newLink.text')}</p>
          </Confirm>
        )}
      </Page>
    </Frame>
  )
}
