// Who is signed in, in which workspace, and what they may do there.
import { useQueryClient } from '@tanstack/react-query'
import { createContext, type ReactNode, use, useMemo } from 'react'
import { api, chooseWorkspace, currentWorkspace, type Shape } from '~/api/client'
import { Failure, Loading } from '~/ui/Page'
import { NoWorkspace, SignIn } from './SignIn'

/** The names of actions, as `GET /api/v1/session` gives them: `segments.edit`. */
export type Action = `${string}.${string}`

export type Session = {
  me: Shape<'Me'>
  workspace: string
  /** The role in this workspace, in words. */
  role: string
  /** Whether the person may do this here; the server decides again. */
  can: (action: Action) => boolean
  enter: (workspace: string) => void
}

const Known = createContext<Session | null>(null)

export function useSession(): Session {
  const session = use(Known)
  if (session === null) throw new Error('there is no session here')
  return session
}

/** Shows its children to who may do this. */
export function May({ do: action, children }: { do: Action; children: ReactNode }) {
  return useSession().can(action) ? children : null
}

/** The session, or the page to sign in. */
export function SignedIn({ children }: { children: ReactNode }) {
  const cache = useQueryClient()
  const asked = api.useQuery('get', '/api/v1/session', {}, { retry: false, staleTime: 60_000 })
  const me = asked.data
  const session = useMemo<Session | null>(() => {
    if (!me) return null
    const names = me.workspaces.map((one) => one.workspace)
    const workspace = names.find((name) => name === currentWorkspace()) ?? names[0]
    if (workspace === undefined) return null
    if (workspace !== currentWorkspace()) chooseWorkspace(workspace)
    const here = me.workspaces.filter((one) => one.workspace === workspace)
    const actions = new Set(here.flatMap((one) => one.actions))
    return {
      me,
      workspace,
      role: here.map((one) => one.role).join(', '),
      can: (action) => actions.has(action),
      enter: (name) => {
        chooseWorkspace(name)
        cache.clear()
      },
    }
  }, [me, cache])
  if (session) return <Known value={session}>{children}</Known>
  if (me) return <NoWorkspace name={me.name} />
  if (asked.error) {
    const unknown = asked.error.code === 'unauthorised'
    return unknown ? <SignIn /> : <Failure of={asked.error} retry={() => void asked.refetch()} />
  }
  return <Loading />
}
