// node segment-node.mjs URL WRITE_KEY CALLS.json
import { readFileSync } from 'node:fs'
import { Analytics } from '@segment/analytics-node'

const [url, writeKey, file] = process.argv.slice(2)
const analytics = new Analytics({ writeKey, host: url })
analytics.on('error', (error) => {
  console.error(error)
  process.exitCode = 1
})
for (const { type, ...call } of JSON.parse(readFileSync(file))) {
  analytics[type]({ ...call, timestamp: new Date(call.timestamp) })
}
// Its own limit is 1.25 flush intervals, too short for a retry that waits.
await analytics.closeAndFlush({ timeout: 45_000 })
