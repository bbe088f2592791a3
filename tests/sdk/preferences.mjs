// node preferences.mjs URL UNSUBSCRIBE_URL: uses the preference centre as people do, without scripts, and looks whether all can use it.
// Prints what it found as JSON.
import { execSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'

const [url, unsubscribe] = process.argv.slice(2)
const executablePath = execSync('which chromium').toString().trim()
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })
const found = { violations: [] }
try {
  const context = await browser.newContext({ javaScriptEnabled: false, locale: 'de-DE' })
  const page = await context.newPage()
  const requests = []
  page.on('request', (request) => requests.push(new URL(request.url()).origin))
  await page.goto(url)
  found.title = await page.title()
  found.before = await page.getByRole('checkbox').evaluateAll((boxes) => boxes.map((box) => box.checked))
  // By keyboard alone: to the first box, then to the button.
  await page.keyboard.press('Tab')
  await page.keyboard.press('Space')
  await page.getByRole('button', { name: 'Auswahl speichern' }).press('Enter')
  found.saved = await page.getByRole('status').textContent()
  found.after = await page.getByRole('checkbox').evaluateAll((boxes) => boxes.map((box) => box.checked))
  await page.getByRole('link', { name: 'Polski' }).click()
  found.polish = await page.title()
  found.lang = await page.locator('html').getAttribute('lang')
  await page.goto(unsubscribe)
  await page.getByRole('button').click()
  found.unsubscribed = await page.getByRole('status').textContent()
  found.elsewhere = [...new Set(requests)].filter((origin) => origin !== new URL(url).origin)
  await context.close()

  // axe itself is a script: it is put in past the page's own policy.
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  for (const colorScheme of ['light', 'dark']) {
    const context = await browser.newContext({ bypassCSP: true, colorScheme })
    const page = await context.newPage()
    for (const address of [url, unsubscribe, `${url}x`]) {
      await page.goto(address)
      await page.evaluate(axe)
      const { violations } = await page.evaluate(() => globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
      found.violations.push(...violations.map(({ id, nodes }) => `${colorScheme}: ${id}: ${nodes[0].html}`))
    }
    await context.close()
  }
} finally {
  await browser.close()
}
console.log(JSON.stringify(found))
