// Every text is there in every language, is well formed, and has the plurals that the language needs.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  isPluralElement,
  isSelectElement,
  isTagElement,
  type MessageFormatElement,
  parse,
  TYPE,
} from '@formatjs/icu-messageformat-parser'
import { expect, test } from 'vitest'
import de from './de'
import en from './en'
import pl from './pl'
import ru from './ru'
import zh from './zh'

const languages = { en, de, pl, ru, zh }
/** What CLDR asks for of cardinal numbers that are whole. */
const PLURALS = {
  en: ['one', 'other'],
  de: ['one', 'other'],
  pl: ['one', 'few', 'many'],
  ru: ['one', 'few', 'many'],
  zh: ['other'],
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sources(path)
    return /\.tsx?$/.test(path) && !/\.test\.|schema\.d/.test(path) ? [readFileSync(path, 'utf8')] : []
  })
}

/** The arguments of a message, and the plurals in it. */
function parts(elements: MessageFormatElement[]): { names: string[]; plurals: string[][] } {
  const names: string[] = []
  const plurals: string[][] = []
  const walk = (element: MessageFormatElement): void => {
    if ('value' in element && element.type !== TYPE.literal) names.push(String(element.value))
    if (isPluralElement(element)) plurals.push(Object.keys(element.options).filter((name) => !name.startsWith('=')))
    if (isPluralElement(element) || isSelectElement(element))
      for (const option of Object.values(element.options)) option.value.forEach(walk)
    if (isTagElement(element)) element.children.forEach(walk)
  }
  elements.forEach(walk)
  return { names: [...new Set(names)].sort(), plurals }
}

test.each(Object.entries(languages))('%s has every text, well formed', (language, texts) => {
  expect(Object.keys(texts).sort()).toEqual(Object.keys(en).sort())
  for (const [id, text] of Object.entries(texts)) {
    expect(text, id).not.toBe('')
    const { names, plurals } = parts(parse(text))
    expect(names, `${id}: its arguments are those of the English text`).toEqual(parts(parse(en[id] ?? '')).names)
    for (const found of plurals)
      for (const needed of PLURALS[language as keyof typeof PLURALS]) expect(found, `${id}: ${text}`).toContain(needed)
  }
})

test('every text that is used is there, and every one that is there is used', () => {
  const source = sources(join(import.meta.dirname, '..')).join('\n')
  const literal = new Set(
    [...source.matchAll(/['"`]([a-z][\w-]*(?:\.[\w-]+)+)['"`]/g)].map((found) => found[1] as string),
  )
  // `t(`kind.${kind}`)`: what is looked up by a name from the server.
  const prefixes = [...source.matchAll(/`([a-z][\w-]*(?:\.[\w-]+)*\.)\$\{/g)].map((found) => found[1] as string)
  const asked = [...source.matchAll(/\bt\(\s*'([^']+)'/g)].map((found) => found[1] as string)
  expect(
    asked.filter((id) => !(id in en)),
    'asked for and not there',
  ).toEqual([])
  const unused = Object.keys(en).filter((id) => !literal.has(id) && !prefixes.some((prefix) => id.startsWith(prefix)))
  expect(unused, 'there and not used').toEqual([])
})
