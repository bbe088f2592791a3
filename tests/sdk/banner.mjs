// node banner.mjs segment|rudder URL WRITE_KEY: a site with klaro as its banner and a stock SDK that it tells. A visitor looks, agrees,
// buys, and takes back what they said of marketing. Prints how many events were sent before they agreed.
import { execSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import esbuild from 'esbuild'
import { chromium } from 'playwright-core'

const [sdk, url, writeKey] = process.argv.slice(2)

const BANNER = `
  import * as klaro from 'klaro'
  const config = {
    version: 1, elementID: 'klaro', storageMethod: 'cookie', lang: 'en', mustConsent: false, acceptAll: true,
    translations: { en: { privacyPolicyUrl: '/privacy' } },
    services: [{ name: 'analytics', purposes: ['analytics'] }, { name: 'marketing', purposes: ['marketing'] }],
  }
  const banner = klaro.getManager(config)
  const onSaved = (then) => banner.watch({ update: (_, what) => what === 'saveConsents' && then({ ...banner.consents }) })
  klaro.render(config)
  window.settings = () => klaro.show(config, true)`

const SITES = {
  segment: `
    import { AnalyticsBrowser } from '@segment/analytics-next'
    import { createWrapper, resolveWhen } from '@segment/analytics-consent-tools'
    const withBanner = createWrapper({
      shouldLoadSegment: async (context) => {
        await resolveWhen(() => banner.confirmed, 20)
        context.load({ consentModel: 'opt-in' })
      },
      getCategories: () => ({ ...banner.consents }),
      registerOnConsentChanged: onSaved,
    })
    window.analytics = new AnalyticsBrowser()
    withBanner(analytics).load({ writeKey: '${writeKey}', cdnURL: '${url}' })`,
  rudder: `
    import { RudderAnalytics } from '@rudderstack/analytics-js/bundled'
    window.analytics = new RudderAnalytics()
    const sorted = (consents) => {
      const names = (value) => Object.keys(consents).filter((name) => consents[name] === value)
      return { allowedConsentIds: names(true), deniedConsentIds: names(false) }
    }
    let loaded = false
    onSaved((consents) => {
      if (loaded) return analytics.consent({ consentManagement: sorted(consents), trackConsent: true })
      loaded = true
      const consentManagement = { enabled: true, provider: 'custom', ...sorted(consents) }
      analytics.load('${writeKey}', '${url}', { configUrl: '${url}', consentManagement })
    })`,
}

const here = new URL('.', import.meta.url).pathname
const site = `${BANNER}\n${SITES[sdk]}\nwindow.buy = (n) => analytics.track('Bought', { n })\nanalytics.identify('ada')\nbuy(1)`
const { outputFiles } = await esbuild.build({
  stdin: { contents: site, resolveDir: here },
  bundle: true,
  write: false,
  format: 'iife',
  logLevel: 'error',
})
const server = createServer((request, response) => {
  const [type, body] =
    request.url === '/site.js'
      ? ['text/javascript', outputFiles[0].text]
      : ['text/html', '<!doctype html><title>Shop</title><div id="klaro"></div><script src="/site.js"></script>']
  response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(body)
})
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))

const browser = await chromium.launch({
  executablePath: execSync('which chromium').toString().trim(),
  args: ['--no-sandbox', '--no-proxy-server', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
})
try {
  const page = await browser.newPage()
  page.on('pageerror', (error) => console.error(error))
  const landed = []
  page.on('response', (response) => {
    const { pathname } = new URL(response.url())
    const request = response.request()
    if (request.method() === 'POST' && /^\/v1\/(?!m$)/.test(pathname) && response.ok()) landed.push(request.postData())
  })
  const answered = async (what, from = 0) => {
    for (const end = Date.now() + 30_000; !landed.slice(from).some((sent) => what.test(sent)); await page.waitForTimeout(20)) {
      if (Date.now() > end) throw new Error(`no ${what} among ${landed.slice(from)}`)
    }
  }
  await page.goto(`http://127.0.0.1:${server.address().port}/`)
  const accept = page.getByRole('button', { name: 'That\'s ok' })
  await accept.waitFor()
  const before = landed.length
  await accept.click()
  await answered(/"n":1/)
  await page.evaluate(() => window.buy(2))
  await answered(/"n":2/)
  await page.evaluate(() => window.settings())
  await page.locator('label[for="purpose-item-marketing"]').click()
  const agreed = landed.length
  await page.getByRole('button', { name: 'Save' }).click()
  await answered(/"event":"[^"]*Consent /, agreed)
  await page.evaluate(() => window.buy(3))
  await answered(/"n":3/)
  console.log(JSON.stringify({ before }))
} finally {
  await browser.close()
  server.close()
}
