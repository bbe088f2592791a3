// The console in Chromium, on a server with the demo's data: ONEFOLD_URL says where, ONEFOLD_INVITATION lets the first person in.
import { execSync } from 'node:child_process'
import { defineConfig } from '@playwright/test'

const url = process.env.ONEFOLD_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  testDir: 'tests',
  globalSetup: './tests/setup.ts',
  outputDir: 'test-results',
  workers: 2,
  fullyParallel: true,
  timeout: 120_000,
  reporter: 'line',
  use: {
    baseURL: url,
    storageState: 'test-results/session.json',
    viewport: { width: 1280, height: 900 },
    locale: 'en',
    launchOptions: {
      executablePath: execSync('which chromium').toString().trim(),
      args: ['--no-sandbox', '--no-proxy-server', '--disable-gpu', '--disable-background-networking'],
    },
  },
})
