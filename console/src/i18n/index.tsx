// Texts in five languages, as ICU messages. Each language is one file of the build, fetched when it is chosen.
import { createContext, type ReactNode, use, useEffect, useMemo, useState } from 'react'
import { IntlProvider, useIntl } from 'react-intl'
import english from './en'

export const LANGUAGES = { en: 'English', de: 'Deutsch', pl: 'Polski', ru: 'Русский', zh: '中文' } as const
export type Language = keyof typeof LANGUAGES
type Messages = Record<string, string>

const KEY = 'onefold.language'
const OTHERS: Record<Exclude<Language, 'en'>, () => Promise<{ default: Messages }>> = {
  de: () => import('./de'),
  pl: () => import('./pl'),
  ru: () => import('./ru'),
  zh: () => import('./zh'),
}

const isLanguage = (name: string | undefined): name is Language => name !== undefined && name in LANGUAGES

/** The language that was chosen, or else the first of the browser's that there is. */
export function firstLanguage(): Language {
  const wished = [localStorage.getItem(KEY) ?? '', ...navigator.languages].map((tag) => tag.split('-')[0])
  return wished.find(isLanguage) ?? 'en'
}

export async function messagesOf(language: Language): Promise<Messages> {
  return language === 'en' ? english : (await OTHERS[language]()).default
}

type Choice = { language: Language; choose: (language: Language) => void }
const Chosen = createContext<Choice>({ language: 'en', choose: () => undefined })

export const useLanguage = (): Choice => use(Chosen)

export function Texts({ first, children }: { first: { language: Language; messages: Messages }; children: ReactNode }) {
  const [shown, setShown] = useState(first)
  useEffect(() => {
    document.documentElement.lang = shown.language
  }, [shown.language])
  const choice = useMemo<Choice>(
    () => ({
      language: shown.language,
      choose: (language) => {
        localStorage.setItem(KEY, language)
        void messagesOf(language).then((messages) => setShown({ language, messages }))
      },
    }),
    [shown.language],
  )
  return (
    <Chosen value={choice}>
      <IntlProvider locale={shown.language} messages={shown.messages} defaultLocale="en">
        {children}
      </IntlProvider>
    </Chosen>
  )
}

type Values = Record<string, string | number | Date>

/** Gives `t(id, values)`: a text in the language of the page. */
export function useText(): (id: string, values?: Values) => string {
  const intl = useIntl()
  return useMemo(() => (id, values) => intl.formatMessage({ id }, values), [intl])
}
