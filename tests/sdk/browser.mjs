// node browser.mjs segment|rudder URL WRITE_KEY CALLS.json: the SDK in Chromium, on a page of another origin.
import { createServer } from 'node:http'
import { accessSync, constants, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium } from 'playwright-core'

const [sdk, url, writeKey, file] = process.argv.slice(2)
const calls = JSON.parse(readFileSync(file))

const SDKS = {
  segment: {
    bundle: 'node_modules/@segment/analytics-next/dist/umd/index.js',
    page: (url, writeKey) => `
      const analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey: '${writeKey}', cdnURL: '${url}' })
      const options = (call) => ({ context: call.context, timestamp: call.timestamp })`,
  },
  rudder: {
    bundle: 'node_modules/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js',
    page: (url, writeKey) => `
      const analytics = new rudderanalytics.RudderAnalytics()
      analytics.load('${writeKey}', '${url}', { configUrl: '${url}' })
      const options = (call) => ({ context: call.context, originalTimestamp: call.timestamp })`,
  },
}

// What a site's own code does. The person's ids come from the SDK's memory of them, as on every site.
const SEND = `
  const make = {
    identify: (call) => analytics.identify(call.userId, call.traits, options(call)),
    track: (call) => analytics.track(call.event, call.properties, options(call)),
    page: (call) => analytics.page(call.category, call.name, call.properties, options(call)),
    screen: (call) => analytics.screen(call.category, call.name, call.properties, options(call)),
    group: (call) => analytics.group(call.groupId, call.traits, options(call)),
    alias: (call) => analytics.alias(call.userId, call.previousId, options(call)),
  }
  window.send = async (calls) => {
    await new Promise((ready) => analytics.ready(ready))
    await analytics.setAnonymousId(calls[0].anonymousId)
    const known = calls.filter((call) => analytics[call.type])
    for (const call of known) await make[call.type](call)
    return known.length
  }`

const { bundle, page: setup } = SDKS[sdk]
const here = new URL('.', import.meta.url)
const site = createServer((request, response) => {
  const [type, body] =
    request.url === '/sdk.js'
      ? ['text/javascript', readFileSync(new URL(bundle, here))]
      : ['text/html', `<!doctype html><title>Preise</title><script src="/sdk.js"></script><script>${setup(url, writeKey)}${SEND}</script>`]
  response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(body)
})
await new Promise((listening) => site.listen(0, '127.0.0.1', listening))

const executable = (name) => {
  for (const folder of process.env.PATH.split(delimiter)) {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return join(folder, name)
    } catch {}
  }
}
const browser = await chromium.launch({
  executablePath: executable('chromium'),
  // Nothing but this machine is reached; a root user's Chromium has no sandbox.
  args: ['--no-sandbox', '--no-proxy-server', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
})
try {
  const page = await browser.newPage()
  page.on('console', (message) => console.error(message.text()))
  page.on('pageerror', (error) => console.error(error))
  let landed = 0
  page.on('response', (response) => {
    const { pathname } = new URL(response.url())
    const event = response.request().method() === 'POST' && /^\/v1\/(?!m$)/.test(pathname)
    if (event && response.ok()) landed += 1
  })
  const { port } = site.address()
  await page.goto(`http://127.0.0.1:${port}/pricing?utm=1`)
  const sent = await page.evaluate((calls) => window.send(calls), calls)
  for (const end = Date.now() + 30_000; landed < sent; await page.waitForTimeout(20)) {
    if (Date.now() > end) throw new Error(`${landed} of ${sent} events were answered`)
  }
} finally {
  await browser.close()
  site.close()
}
