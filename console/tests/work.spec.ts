// The main task of each page, as people do it.
import { expect, test, violations, visit } from './support'

const url = process.env.ONEFOLD_URL ?? 'http://127.0.0.1:8080'

test('an event is seen as it enters, and filtered', async ({ page, request }) => {
  await visit(page, '/live')
  const made = await request.post('/api/v1/sources', { data: { name: 'live-test' }, headers: { origin: url } })
  const { write_key } = await made.json()
  const key = Buffer.from(`${write_key}:`).toString('base64')
  const send = (event: string) =>
    request.post('/v1/track', { headers: { authorization: `Basic ${key}` }, data: { userId: 'live-1', event } })
  await expect(async () => {
    await send('Seen Live')
    await expect(page.getByText('Seen Live').first()).toBeVisible({ timeout: 1_000 })
  }).toPass({ timeout: 20_000 })
  await page.getByLabel('Text in the event').fill('nothing has this')
  await expect(page.getByText('Seen Live')).toBeHidden()
  expect(await violations(page)).toEqual([])
})

test('a person: golden record, timeline, why they are in a segment, why they are one', async ({ page }) => {
  await visit(page, '/people/00111')
  await expect(page.getByRole('cell', { name: 'customer6@example.com' }).first()).toBeVisible()
  await page.getByRole('tab', { name: 'Timeline' }).click()
  await page.getByText('Order Completed').first().click()
  await expect(page.getByText('"revenue"').first()).toBeVisible()
  await page.getByRole('tab', { name: 'Segments' }).click()
  await expect(page.getByText(/count was 16, needs at least 3/).last()).toBeVisible()
  await page.getByRole('tab', { name: 'Identity' }).click()
  await expect(page.getByRole('img', { name: /Graph of identifiers/ })).toBeVisible()
  await expect(page.locator('.react-flow__node').first()).toBeVisible()
  expect(await violations(page)).toEqual([])
})

test('identifiers are parted and joined again', async ({ page }) => {
  await visit(page, '/people/00112')
  await page.getByRole('tab', { name: 'Identity' }).click()
  await page.getByRole('button', { name: /Part email:customer7@example.com/ }).click()
  await expect(page.getByRole('dialog')).toBeVisible()
  expect(await violations(page)).toEqual([])
  await page.getByRole('dialog').getByRole('button', { name: 'Part', exact: true }).click()
  await expect(page.getByText('They are parted')).toBeVisible()
  await page.getByLabel('Another identifier of the same person').fill('email:customer7@example.com')
  await page.getByRole('button', { name: 'Join' }).click()
  await expect(page.getByText('They are one person', { exact: true })).toBeVisible()
})

test('a segment is built and saved by keyboard alone, and its count moves', async ({ page }) => {
  await visit(page, '/segments/new')
  const count = page.locator('[aria-live="polite"][aria-busy="false"] >> text=/^[\\d,]+$/').first()
  await expect(count).toHaveText(/3,\d\d\d/)
  const reach = async (name: RegExp) => {
    for (let tabs = 0; tabs < 60; tabs += 1) {
      await page.keyboard.press('Tab')
      const label = await page.evaluate(() => {
        const on = document.activeElement as HTMLInputElement | null
        return on?.labels?.[0]?.textContent ?? on?.getAttribute('aria-label') ?? on?.textContent ?? ''
      })
      if (name.test(label)) return
    }
    throw new Error(`no ${name} is reached`)
  }
  await page.getByRole('heading', { level: 1 }).click()
  await reach(/^Add$/)
  await page.keyboard.press('Enter')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await reach(/^Event$/)
  await page.keyboard.type('Order Completed')
  await reach(/^Value$/)
  await page.keyboard.press('Control+A')
  await page.keyboard.type('3')
  await expect(page.getByLabel('The same as text')).toHaveValue('count("Order Completed") >= 3')
  await expect(count).toHaveText('747')
  await reach(/^Name$/)
  await page.keyboard.type('by-keyboard')
  await reach(/^Save$/)
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'by-keyboard' })).toBeVisible()
})

test('text and tree follow each other, and what is wrong is said', async ({ page }) => {
  await visit(page, '/segments/high-value/edit')
  const text = page.getByLabel('The same as text')
  await text.fill('count("Order Completed") >= 3 and (trait plan = "pro" or may be reached for marketing)')
  await expect(page.getByLabel('Group', { exact: true })).toHaveCount(2)
  await text.fill('count("Order Completed" >= 3')
  await expect(page.locator('[aria-invalid=true]')).toBeVisible()
  expect(await violations(page)).toEqual([])
  page.on('dialog', (dialog) => void dialog.accept())
  await page.getByRole('link', { name: 'Home' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Home' })).toBeVisible()
})

test('rows are dragged by keyboard, and said', async ({ page }) => {
  await visit(page, '/segments/high-value/edit')
  const text = page.getByLabel('The same as text')
  await expect(text).toHaveValue(/^count/)
  await page.getByRole('button', { name: 'Move down' }).first().click()
  await expect(text).toHaveValue(/^sum/)
})

test('SQL is asked, drawn, and its mistakes are explained', async ({ page }) => {
  await visit(page, '/data/sql')
  await expect(page.locator('.cm-editor')).toBeVisible()
  await page.getByRole('button', { name: 'Run' }).click()
  await expect(page.getByRole('cell', { name: 'Order Completed' }).first()).toBeVisible()
  await expect(page.locator('figure svg').first()).toBeVisible()
  expect(await violations(page)).toEqual([])
  await page.locator('.cm-content').click()
  await page.keyboard.press('Control+A')
  await page.keyboard.type('SELECT nothing FROM events')
  await page.keyboard.press('Control+Enter')
  await expect(page.getByRole('alert')).toContainText('nothing')
})

test('a source is added, and shows how to send', async ({ page }) => {
  await visit(page, '/data/sources')
  await page.getByRole('button', { name: 'Add a source' }).click()
  await page.getByLabel('Name').fill('made-here')
  await page.getByRole('dialog').getByRole('button', { name: 'Add a source' }).click()
  await expect(page.getByRole('dialog')).toContainText('curl -u')
  expect(await violations(page)).toEqual([])
  await page.getByRole('button', { name: 'Close' }).click()
  await expect(page.getByRole('cell', { name: 'made-here', exact: true })).toBeVisible()
})

test('a destination tells what it was handed', async ({ page }) => {
  await visit(page, '/destinations')
  await page.getByRole('link', { name: 'lapsed-file' }).click()
  await expect(page.getByRole('heading', { name: 'What was handed over' })).toBeVisible()
  await expect(page.getByText('delivered').first()).toBeVisible()
})

test('the audit log is looked through, and is whole', async ({ page }) => {
  await visit(page, '/settings/audit')
  await page.getByRole('button', { name: 'Check that it is whole' }).click()
  await expect(page.getByText(/^Whole:/)).toBeVisible()
})
