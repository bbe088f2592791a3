// Light or dark: as the system has it, or as was chosen.
import { createContext, type ReactNode, use, useEffect, useMemo, useState } from 'react'

export type Theme = 'light' | 'dark'
type Wish = Theme | 'system'
type Themes = { theme: Theme; wish: Wish; choose: (wish: Wish) => void }

const KEY = 'onefold.theme'
const dark = window.matchMedia('(prefers-color-scheme: dark)')
const Chosen = createContext<Themes>({ theme: 'light', wish: 'system', choose: () => undefined })

export const useTheme = (): Themes => use(Chosen)

function kept(): Wish {
  const wish = localStorage.getItem(KEY)
  return wish === 'light' || wish === 'dark' ? wish : 'system'
}

export function Themed({ children }: { children: ReactNode }) {
  const [wish, setWish] = useState(kept)
  const [isDark, setIsDark] = useState(dark.matches)
  useEffect(() => {
    const change = () => setIsDark(dark.matches)
    dark.addEventListener('change', change)
    return () => dark.removeEventListener('change', change)
  }, [])
  const theme: Theme = wish === 'system' ? (isDark ? 'dark' : 'light') : wish
  document.documentElement.dataset.theme = theme
  const themes = useMemo<Themes>(
    () => ({
      theme,
      wish,
      choose: (next) => {
        localStorage.setItem(KEY, next)
        setWish(next)
      },
    }),
    [theme, wish],
  )
  return <Chosen value={themes}>{children}</Chosen>
}
