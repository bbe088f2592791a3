// Every page, in every language, light and dark: no violation of WCAG 2.2 AA, no text without its words, none cut off, no fault.
import { expect, PAGES, test, violations, somebody, visit } from './support'

const LANGUAGES = ['en', 'de', 'pl', 'ru', 'zh']

/** Texts that look like ids of messages, and labels that do not fit in their place. */
function flaws(): string[] {
  const found: string[] = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent?.trim() ?? ''
    // What stands in a table or as code is data: actions are called so.
    if (walker.currentNode.parentElement?.closest('td, code, pre')) continue
    if (/^(app|ui|home|live|people|segments|data|destinations|privacy|settings)\.[a-z]+[\w.]*$/.test(text))
      found.push(`a text without words: ${text}`)
  }
  for (const element of document.querySelectorAll<HTMLElement>(
    'button, label:not(.hidden-text), th, nav a, h1, h2, h3, dt',
  ))
    if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflow !== 'visible')
      found.push(`cut off: ${element.textContent}`)
  return found
}

for (const language of LANGUAGES) {
  for (const scheme of ['light', 'dark'] as const) {
    test(`pages in ${language}, ${scheme}`, async ({ page, request }) => {
      await page.emulateMedia({ colorScheme: scheme })
      await page.addInitScript((name) => localStorage.setItem('onefold.language', name), language)
      const person = encodeURIComponent((await somebody(request)).id)
      const found: Record<string, string[]> = {}
      for (const path of PAGES) {
        await visit(page, path.replace('{person}', person))
        await expect(page.locator('html')).toHaveAttribute('lang', language)
        const here = [...(await violations(page)), ...(await page.evaluate(flaws))]
        if (here.length > 0) found[path] = here
      }
      expect(found).toEqual({})
    })
  }
}
