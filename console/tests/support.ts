// What the tests share: a page on which nothing may go wrong unseen, and axe.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { RunOptions, AxeResults } from 'axe-core'
import { test as base, expect, type APIRequestContext, type Page } from '@playwright/test'

export { expect }

/** Every page of the console, with something that the demo's data have. */
export const PAGES = [
  '/',
  '/live',
  '/people',
  '/people/{person}',
  '/segments',
  '/segments/new',
  '/segments/high-value',
  '/segments/high-value/edit',
  '/data/sources',
  '/data/sources/crm',
  '/data/imports',
  '/data/steward',
  '/data/catalogue',
  '/data/sql',
  '/destinations',
  '/destinations/crm-webhook',
  '/privacy/consent',
  '/privacy/requests',
  '/privacy/erasures',
  '/privacy/retention',
  '/privacy/processing',
  '/privacy/approvals',
  '/settings/account',
  '/settings/people',
  '/settings/keys',
  '/settings/policies',
  '/settings/workspace',
  '/settings/system',
  '/settings/audit',
] as const

/** A page that fails the test where a script, the policy for content, or the server's answer is at fault. */
export const test = base.extend<{ faults: string[] }>({
  faults: [
    async ({ page }, use) => {
      const faults: string[] = []
      page.on('pageerror', (error) => faults.push(`script: ${error.message}`))
      page.on('console', (message) => {
        // An answer that refuses is an answer; the browser writes it down as an error all the same.
        const isAnswer = /status of 4\d\d/.test(message.text())
        if (message.type() === 'error' && !isAnswer) faults.push(`console: ${message.text()}`)
      })
      page.on('response', (response) => {
        if (response.status() >= 500) faults.push(`${response.status()} ${response.url()}`)
      })
      await use(faults)
      expect(faults).toEqual([])
    },
    { auto: true },
  ],
})

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe finds against WCAG 2.2 AA, a line each. The policy for content does not hold for what a debugger evaluates. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  return page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
    const { axe } = globalThis as unknown as { axe: { run: (options: RunOptions) => Promise<AxeResults> } }
    const found = await axe.run({ runOnly: tags })
    return found.violations.flatMap((one) =>
      one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 160)} – ${node.failureSummary?.split('\n')[1] ?? ''}`),
    )
  })
}

/** Goes to a page of the console, and waits until it shows what it has. */
export async function visit(page: Page, path: string): Promise<void> {
  await page.goto(`/console${path}`)
  await expect(page.locator('h1')).toBeVisible()
  await expect(page.getByRole('status').filter({ hasText: /./ }).locator('i').first()).toBeHidden()
}

/** The first of all people. */
export async function somebody(request: APIRequestContext): Promise<{ id: string; identifiers: { value: string }[] }> {
  const [one] = await (await request.get('/api/v1/profiles?limit=1')).json()
  return one
}
