// The frame around every page: where one can go, whom one looks for, and who one is.
import { Link, Outlet, useNavigate } from '@tanstack/react-router'
import {
  Activity,
  Database,
  Filter,
  House,
  Languages,
  type LucideIcon,
  Moon,
  Send,
  Settings,
  ShieldCheck,
  UserRound,
  Users,
} from 'lucide-react'
import { Suspense, useEffect, useRef, useState } from 'react'
import { api } from '~/api/client'
import { LANGUAGES, type Language, useLanguage, useText } from '~/i18n'
import icon from '~/icon.svg'
import { Button, IconButton } from '~/ui/Button'
import { TextField } from '~/ui/Field'
import { Menu } from '~/ui/Menu'
import { Loading } from '~/ui/Page'
import { type Action, useSession } from './session'
import styles from './shell.module.css'
import { useTheme } from './theme'

/** The areas, and what one must be allowed to do for any of their pages. */
const AREAS = [
  ['home', '/', House, ['stats.view']],
  ['live', '/live', Activity, ['events.view', 'letters.view']],
  ['people', '/people', Users, ['profiles.view']],
  ['segments', '/segments', Filter, ['segments.view']],
  ['data', '/data', Database, ['sources.view', 'linkage.view', 'governance.view', 'sql.ask']],
  ['destinations', '/destinations', Send, ['destinations.view']],
  ['privacy', '/privacy', ShieldCheck, ['consents.view', 'privacy.view', 'governance.view']],
  ['settings', '/settings', Settings, ['stats.view']],
] as const satisfies readonly (readonly [string, string, LucideIcon, readonly Action[]])[]

export function LanguageMenu() {
  const t = useText()
  const { language, choose } = useLanguage()
  return (
    <Menu
      trigger={
        <IconButton label={t('app.language')}>
          <Languages aria-hidden="true" />
        </IconButton>
      }
      groups={[
        {
          title: t('app.language'),
          items: Object.entries(LANGUAGES).map(([code, name]) => ({
            label: <span lang={code}>{name}</span>,
            chosen: code === language,
            onSelect: () => choose(code as Language),
          })),
        },
      ]}
    />
  )
}

function ThemeMenu() {
  const t = useText()
  const { wish, choose } = useTheme()
  const wishes = ['system', 'light', 'dark'] as const
  return (
    <Menu
      trigger={
        <IconButton label={t('app.theme')}>
          <Moon aria-hidden="true" />
        </IconButton>
      }
      groups={[
        {
          title: t('app.theme'),
          items: wishes.map((one) => ({
            label: t(`app.theme.${one}`),
            chosen: one === wish,
            onSelect: () => choose(one),
          })),
        },
      ]}
    />
  )
}

function AccountMenu() {
  const t = useText()
  const navigate = useNavigate()
  const { me, workspace, role, enter } = useSession()
  const leave = api.useMutation('delete', '/api/v1/session', { onSuccess: () => window.location.reload() })
  const names = [...new Set(me.workspaces.map((one) => one.workspace))]
  return (
    <Menu
      trigger={
        <Button look="quiet">
          <UserRound aria-hidden="true" />
          {me.name || me.email}
        </Button>
      }
      groups={[
        {
          title: t('app.workspace'),
          items: names.map((name) => ({ label: name, chosen: name === workspace, onSelect: () => enter(name) })),
        },
        {
          title: t('app.as', { role }),
          items: [
            { label: t('app.account'), onSelect: () => void navigate({ to: '/settings/account' }) },
            { label: t('app.signOut'), onSelect: () => leave.mutate({}) },
          ],
        },
      ]}
    />
  )
}

/** Finds a person by any identifier; `/` brings the keyboard here. */
function Search() {
  const t = useText()
  const navigate = useNavigate()
  const input = useRef<HTMLInputElement>(null)
  const [text, setText] = useState('')
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const typing = (event.target as HTMLElement).closest('input, textarea, select, [contenteditable=true]')
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      input.current?.focus()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [])
  return (
    <search>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          const identifier = text.trim()
          if (identifier) void navigate({ to: '/people/$identifier', params: { identifier } })
        }}
      >
        <TextField
          label={t('app.search')}
          hideLabel
          type="search"
          placeholder={t('app.search')}
          ref={input}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </form>
    </search>
  )
}

export function Shell() {
  const t = useText()
  const { can } = useSession()
  return (
    <div className={styles.shell}>
      <a className={styles.skip} href="#main">
        {t('app.skip')}
      </a>
      <aside className={styles.side}>
        <Link to="/" className={styles.brand ?? ''}>
          <img src={icon} alt="" />
          Onefold
        </Link>
        <nav aria-label={t('app.areas')}>
          <ul className={styles.nav}>
            {AREAS.filter(([, , , actions]) => actions.some((action) => can(action))).map(([name, to, Icon]) => (
              <li key={name}>
                <Link to={to} activeOptions={{ exact: to === '/' }}>
                  <Icon aria-hidden="true" />
                  {t(`app.area.${name}`)}
                </Link>
              </li>
            ))}
          </ul>
        </nav>
      </aside>
      <header className={styles.top}>
        {can('profiles.view') ? <Search /> : <span />}
        <div>
          <LanguageMenu />
          <ThemeMenu />
          <AccountMenu />
        </div>
      </header>
      <main className={styles.main} id="main" tabIndex={-1}>
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </main>
    </div>
  )
}
