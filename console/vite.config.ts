import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

// Where `npm run dev` finds a server: `onefold serve` on its own port.
const server = process.env.ONEFOLD_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  base: '/console/',
  plugins: [react()],
  resolve: { alias: { '~': fileURLToPath(new URL('./src', import.meta.url)) } },
  // Browsers of the last two years; what they lack is not worth what it weighs.
  build: { target: 'es2023', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    // The page's own host: the server lets nobody sign in on another's page.
    proxy: Object.fromEntries(
      ['/api', '/v1', '/sign-in', '/welcome'].map((path) => [path, { target: server, changeOrigin: false }]),
    ),
  },
  test: { include: ['src/**/*.test.ts', 'src/**/*.test.tsx'] },
})
