import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { SignedIn } from './app/session'
import { Themed } from './app/theme'
import { firstLanguage, messagesOf, Texts } from './i18n'
import { router } from './router'
import './ui/tokens.css'
import { Toasts } from './ui/toast'

const cache = new QueryClient({
  defaultOptions: {
    queries: {
      // What the server refuses it refuses again; what did not reach it may reach it now.
      retry: (count, error) => (error as { code?: string }).code === 'unreachable' && count < 2,
      staleTime: 5_000,
      refetchOnWindowFocus: true,
    },
  },
})

const language = firstLanguage()
const messages = await messagesOf(language)
const root = document.getElementById('root')
if (root)
  createRoot(root).render(
    <StrictMode>
      <Texts first={{ language, messages }}>
        <Themed>
          <QueryClientProvider client={cache}>
            <Toasts>
              <SignedIn>
                <RouterProvider router={router} />
              </SignedIn>
            </Toasts>
          </QueryClientProvider>
        </Themed>
      </Texts>
    </StrictMode>,
  )
