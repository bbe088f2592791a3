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
