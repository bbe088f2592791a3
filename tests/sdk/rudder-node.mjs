// node rudder-node.mjs URL WRITE_KEY CALLS.json
import { readFileSync } from 'node:fs'
import Analytics from '@rudderstack/rudder-sdk-node'

const [url, writeKey, file] = process.argv.slice(2)
const analytics = new Analytics(writeKey, { dataPlaneUrl: url, flushInterval: 200, logLevel: 'none' })
const delivered = JSON.parse(readFileSync(file)).map(
  ({ type, ...call }) =>
    new Promise((resolve, reject) => {
      const message = { ...call, timestamp: new Date(call.timestamp) }
      analytics[type](message, (error) => (error ? reject(error) : resolve()))
    }),
)
await Promise.all(delivered)
