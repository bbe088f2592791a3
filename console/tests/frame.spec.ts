// The frame: signing in, finding a person, languages, what a role may not see, and what is shown when nothing works.
import { ACCOUNT } from './setup'
import { expect, test, violations, somebody, visit } from './support'

test.describe('without a session', () => {
  test.use({ storageState: { cookies: [], origins: [] } })

  test('a wrong password is told, the right one leads in', async ({ page }) => {
    await page.goto('/console/')
    await page.getByLabel('E-mail').fill(ACCOUNT.email)
    await page.getByLabel('Password').fill('something else')
    await page.keyboard.press('Enter')
    await expect(page.getByRole('alert')).toBeVisible()
    expect(await violations(page)).toEqual([])
    await page.getByLabel('Password').fill(ACCOUNT.password)
    await page.keyboard.press('Enter')
    await expect(page.getByRole('heading', { level: 1, name: 'Home' })).toBeVisible()
  })
})

test('a person is found from anywhere, by keyboard', async ({ page, request }) => {
  const one = await somebody(request)
  await visit(page, '/')
  await page.keyboard.press('/')
  await page.keyboard.type(one.identifiers[0]?.value ?? '')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/console\/people\//)
  await expect(page.getByRole('tab').first()).toBeVisible()
})

test('the language is chosen and kept, with plurals', async ({ page }) => {
  await visit(page, '/')
  await page.getByRole('button', { name: 'Language' }).click()
  await page.getByRole('menuitem', { name: 'Polski' }).click()
  await expect(page.locator('html')).toHaveAttribute('lang', 'pl')
  await expect(page.getByRole('link', { name: 'Osoby' })).toBeVisible()
  await page.reload()
  await expect(page.getByRole('link', { name: 'Osoby' })).toBeVisible()
})

test('a server that does not answer is said so, and asked again', async ({ page, faults }) => {
  await visit(page, '/segments')
  await page.route('**/api/v1/destinations*', (route) => route.abort())
  await page.getByRole('link', { name: 'Destinations' }).click()
  await expect(page.getByRole('alert')).toContainText('The server does not answer', { timeout: 20_000 })
  expect(await violations(page)).toEqual([])
  await page.unroute('**/api/v1/destinations*')
  await page.getByRole('button', { name: 'Try again' }).click()
  await expect(page.getByRole('alert')).toBeHidden()
  faults.length = 0
})

test('an answer that takes its time is waited for, and what one may not do any more is said', async ({ page }) => {
  let answer = () => {}
  const asked = new Promise<void>((resolve) => {
    answer = resolve
  })
  await page.route('**/api/v1/segments', async (route) => {
    await asked
    await route.continue()
  })
  await page.goto('/console/segments')
  await expect(page.getByRole('status').filter({ hasText: 'Loading' }).first()).toBeAttached()
  expect(await violations(page)).toEqual([])
  answer()
  await expect(page.getByRole('link', { name: 'high-value' })).toBeVisible()

  const refused = { code: 'forbidden', message: 'the role analyst does not permit it', cure: 'ask an administrator' }
  await page.route('**/api/v1/destinations', (route) => route.fulfill({ status: 403, json: refused }))
  await page.getByRole('link', { name: 'Destinations' }).click()
  await expect(page.getByRole('alert')).toContainText('You may not do this')
  await expect(page.getByRole('alert')).toContainText('the role analyst does not permit it')
  expect(await violations(page)).toEqual([])
})

test('a fault of the server is said in its own words, and asked again', async ({ page, faults }) => {
  const fault = { code: 'internal', message: 'the disk is full', cure: 'make room' }
  await page.route('**/api/v1/sources', (route) => route.fulfill({ status: 500, json: fault }))
  await page.goto('/console/data/sources')
  await expect(page.getByRole('alert')).toContainText('the disk is full', { timeout: 20_000 })
  await expect(page.getByRole('alert')).toContainText('make room')
  await page.unroute('**/api/v1/sources')
  await page.getByRole('button', { name: 'Try again' }).click()
  await expect(page.getByRole('cell', { name: 'crm', exact: true })).toBeVisible()
  faults.length = 0
})

test('an address that leads nowhere says so', async ({ page }) => {
  await visit(page, '/nowhere')
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('There is no such page')
  expect(await violations(page)).toEqual([])
})

test('the console is light: its first scripts, packed, and the time until it can be used', async ({ page }) => {
  await visit(page, '/')
  const { bytes, ready } = await page.evaluate(() => {
    const files = performance.getEntriesByType('resource') as PerformanceResourceTiming[]
    const scripts = files.filter((file) => file.name.endsWith('.js'))
    return { bytes: scripts.reduce((sum, file) => sum + file.encodedBodySize, 0), ready: performance.now() }
  })
  console.log(`first scripts: ${Math.round(bytes / 1024)} KiB; ready after ${Math.round(ready)} ms`)
  expect(bytes).toBeGreaterThan(0)
  expect(bytes).toBeLessThan(300 * 1024)
})
