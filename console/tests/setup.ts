// Takes the invitation of the first administrator, and keeps the session for all tests.
import { mkdirSync } from 'node:fs'
import { request } from '@playwright/test'

export const ACCOUNT = { email: 'admin@example.com', password: 'correct horse battery' }

export default async function setup(): Promise<void> {
  const baseURL = process.env.ONEFOLD_URL ?? 'http://127.0.0.1:8080'
  const token = process.env.ONEFOLD_INVITATION?.split('/').at(-1)
  const client = await request.newContext({ baseURL, extraHTTPHeaders: { origin: baseURL } })
  const answer = token
    ? await client.post('/api/v1/session/welcome', { data: { token, name: 'Ada Admin', ...ACCOUNT } })
    : await client.post('/api/v1/session', { data: ACCOUNT })
  if (!answer.ok()) throw new Error(`nobody could sign in: ${await answer.text()}`)
  mkdirSync('test-results', { recursive: true })
  await client.storageState({ path: 'test-results/session.json' })
  await client.dispose()
}
