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

test('a file is mapped by hand, tried and imported, and enters once', async ({ page }) => {
  const rows = ['customer no;Mail;town;visits', '9001;imp1@example.com;Łódź;3', '9002;imp2@example.com;Köln;5']
  const file = { name: 'people.csv', mimeType: 'text/csv', buffer: Buffer.from(rows.join('\n')) }
  for (const round of ['first', 'again']) {
    await visit(page, '/data/imports')
    await page.getByLabel('File').setInputFiles(file)
    await page.getByRole('button', { name: 'Look at it' }).click()
    await page.getByLabel('Source', { exact: true }).fill('from-a-file')
    await page.getByLabel('What customer no becomes').selectOption('User id')
    await page.getByLabel('What town becomes').selectOption('Trait of the person')
    await page.getByLabel('What town is called').fill('city')
    await page.getByRole('button', { name: 'Try it' }).click()
    await expect(page.getByText('"city": "Łódź"')).toBeVisible()
    if (round === 'first') expect(await violations(page)).toEqual([])
    await page.getByRole('button', { name: 'Import', exact: true }).click()
    await expect(page.getByText('Imported', { exact: true })).toBeVisible()
  }
  await visit(page, '/people/9001')
  await expect(page.getByRole('cell', { name: 'Łódź' }).first()).toBeVisible()
  await page.getByRole('tab', { name: 'Timeline' }).click()
  await expect(page.getByText('identify', { exact: true })).toHaveCount(1)
})

test('what a step of preparation would change is seen before it is set', async ({ page }) => {
  await visit(page, '/data/sources/crm')
  await expect(page.locator('.cm-editor')).toBeVisible()
  await page.locator('.cm-content').click()
  await page.keyboard.press('Control+A')
  await page.keyboard.insertText('{"steps": [{"step": "normalise", "of": "traits.city", "as": "upper"}]}')
  await page.getByRole('button', { name: 'Try it' }).click()
  await expect(page.getByRole('heading', { name: 'Step 1: normalise' })).toBeVisible()
  await page.getByRole('tab', { name: 'Quality' }).click()
  await expect(page.getByRole('cell', { name: 'traits.city' }).first()).toBeVisible()
  expect(await violations(page)).toEqual([])
})

test('a field of the catalogue is described', async ({ page }) => {
  await visit(page, '/data/catalogue')
  await page.getByLabel('Find a field').fill('revenue')
  await page.getByRole('button', { name: 'Describe revenue' }).click()
  await page.getByLabel('Owner').fill('shop team')
  expect(await violations(page)).toEqual([])
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('cell', { name: 'shop team' })).toBeVisible()
})

test('a destination is set up from the form of its kind, tested and changed', async ({ page }) => {
  await visit(page, '/destinations')
  await page.getByRole('button', { name: 'Set one up' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Kind').selectOption('Files')
  await dialog.getByLabel('Name').fill('from-the-form')
  await dialog.getByLabel('Folder').fill('from-the-form')
  await dialog.getByLabel('Purpose').fill('marketing')
  await dialog.getByLabel('high-value').check()
  expect(await violations(page)).toEqual([])
  await dialog.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('link', { name: 'from-the-form' }).click()
  await page.getByRole('button', { name: 'Test' }).click()
  await expect(page.getByText(/writ/).first()).toBeVisible()
  await page.getByRole('button', { name: 'Edit' }).click()
  await page.getByRole('dialog').getByLabel('Format').selectOption('ndjson')
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('"format": "ndjson"')).toBeVisible()
})

test('a purpose is tried before it is set, and decides', async ({ page }) => {
  await visit(page, '/privacy/consent')
  await page.getByRole('button', { name: 'Add a purpose' }).first().click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill('fraud')
  await dialog.getByLabel('Ground').selectOption('Legitimate interest')
  await dialog.getByRole('button', { name: 'Try it' }).click()
  await expect(dialog.getByRole('table')).toBeVisible()
  expect(await violations(page)).toEqual([])
  await dialog.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('cell', { name: 'fraud' })).toBeVisible()
  await page.getByLabel('Identifier', { exact: true }).fill('00111')
  await page.getByLabel('Purpose', { exact: true }).fill('fraud')
  await page.getByRole('button', { name: 'Ask' }).click()
  await expect(page.getByText('Yes, they may be used')).toBeVisible()
  await page.getByRole('button', { name: 'Check it' }).click()
  await expect(page.getByText('The ledger is whole')).toBeVisible()
})

test('a request is entered, carried out and answered; the erasure of a person leaves a receipt', async ({ page }) => {
  await visit(page, '/privacy/requests')
  await page.getByRole('button', { name: 'Enter a request' }).first().click()
  await page.getByLabel('Identifiers').fill('00113')
  await page.getByLabel('How the person was identified').fill('passport shown')
  expect(await violations(page)).toEqual([])
  await page.getByRole('dialog').getByRole('button', { name: 'Enter a request' }).click()
  await page
    .getByRole('link', { name: /^Access/ })
    .first()
    .click()
  await page.getByRole('button', { name: 'Carry it out' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Carry it out' }).click()
  const saved = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Save the answer' }).click()
  expect((await saved).suggestedFilename()).toMatch(/^dsr_.*\.zip$/)

  await visit(page, '/privacy/erasures')
  await page.getByLabel('Identifiers').fill('00114')
  await page.getByRole('button', { name: 'See who is meant' }).click()
  await expect(page.getByRole('table', { name: /People who would be erased/ })).toBeVisible()
  await page.getByRole('button', { name: 'Erase people' }).click()
  await page.getByLabel('Type erase to go on').fill('erase')
  expect(await violations(page)).toEqual([])
  await page.getByRole('dialog').getByRole('button', { name: 'Erase people' }).click()
  await page.getByRole('button', { name: /^Show/ }).first().click()
  const receipt = page.getByRole('dialog', { name: 'Receipt' })
  await expect(receipt).toContainText('Looked for again, and not found')
  await receipt.getByRole('button', { name: 'Close' }).click()
  await page.getByLabel('Identifier', { exact: true }).fill('00114')
  await page.getByRole('button', { name: 'Ask' }).click()
  await expect(page.getByText(/00114 is kept out/)).toBeVisible()
})

test('what is kept too long is counted by the rule that is set', async ({ page }) => {
  await visit(page, '/privacy/retention')
  await page.getByRole('button', { name: 'Add a rule' }).click()
  await page.getByLabel('Days').fill('36500')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('cell', { name: 'People of whom only devices are known' })).toBeVisible()
})

test('somebody is invited, and a key is made and revoked', async ({ page }) => {
  await visit(page, '/settings/people')
  await page.getByRole('button', { name: 'Invite somebody' }).click()
  await page.getByRole('dialog').getByLabel('E-mail').fill('ewa@example.com')
  await page.getByRole('dialog').getByLabel('Role').selectOption('Data steward')
  expect(await violations(page)).toEqual([])
  await page.getByRole('dialog').getByRole('button', { name: 'Invite somebody' }).click()
  await expect(page.getByRole('dialog')).toContainText('/welcome/')
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
  await expect(page.getByRole('cell', { name: 'ewa@example.com' }).first()).toBeVisible()

  await visit(page, '/settings/keys')
  await page.getByRole('button', { name: 'Make a key' }).first().click()
  await page.getByRole('dialog').getByLabel('Name').fill('nightly')
  await page.getByRole('dialog').getByRole('button', { name: 'Make a key' }).click()
  await expect(page.getByRole('dialog')).toContainText('Bearer')
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
  await page.getByRole('button', { name: 'Revoke nightly' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await expect(page.getByText('revoked', { exact: true })).toBeVisible()
})

test('policies are asked before they are set', async ({ page }) => {
  await visit(page, '/settings/policies')
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await expect(page.getByRole('cell', { name: 'segments.edit', exact: true })).toBeVisible()
  expect(await violations(page)).toEqual([])
})

test('the log is checked', async ({ page }) => {
  await visit(page, '/settings/system')
  await page.getByRole('button', { name: 'Check it' }).click()
  await expect(page.getByText('The log is whole')).toBeVisible()
})
