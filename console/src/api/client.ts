// The client of the API: typed by the server's own description (`schema.d.ts`, made by `npm run api`).
import createFetchClient, { type Middleware } from 'openapi-fetch'
import createQueryClient from 'openapi-react-query'
import type { components, paths } from './schema'

/** What the server says of a failure: what happened, and what to do. */
export type ApiError = components['schemas']['ApiError']

/** A shape of the API by its name. */
export type Shape<Name extends keyof components['schemas']> = components['schemas'][Name]

/** The workspace that all requests speak of; it is kept for the next visit. */
const KEY = 'onefold.workspace'
let workspace: string | null = localStorage.getItem(KEY)

export function currentWorkspace(): string | null {
  return workspace
}

export function chooseWorkspace(name: string): void {
  workspace = name
  localStorage.setItem(KEY, name)
}

/** Headers of every request. */
export function headers(): Record<string, string> {
  return workspace === null ? {} : { 'Onefold-Workspace': workspace }
}

const names: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(headers())) request.headers.set(name, value)
    return request
  },
  onError({ error }) {
    // `fetch` itself failed: nobody answered.
    return Object.assign(new Error(String(error)), { code: 'unreachable', message: '', cure: '' })
  },
}

/** Asks the API; gives `{ data, error, response }`. */
export const client = createFetchClient<paths>({ baseUrl: '' })
client.use(names)

/** The same for components: `api.useQuery('get', path, init)`, `api.useMutation('post', path)`. */
export const api = createQueryClient(client)

/** Whatever was thrown, as the server would say it. */
export function problemOf(thrown: unknown): ApiError {
  const is = (value: unknown): value is ApiError => typeof value === 'object' && value !== null && 'code' in value
  return is(thrown) ? thrown : { code: 'unexpected', message: String(thrown), cure: '' }
}
