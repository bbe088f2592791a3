import { headers } from './client'

/** Asks for a file, and gives it to the browser to keep. Fails as the API says it. */
export async function download(path: string, name: string, body?: unknown, accept = '*/*'): Promise<void> {
  const answer = await fetch(path, {
    headers: { ...headers(), accept, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw await answer.json()
  save(await answer.blob(), name)
}

/** Gives the browser something to keep as a file. */
export function save(what: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(what)
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}
