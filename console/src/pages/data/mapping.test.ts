// What the table of columns says is what the mapping says.
import { expect, test } from 'vitest'
import { isSimple, lines, type Mapping, withLines } from './mapping'

const guessed: Mapping = {
  kind: 'identify',
  encoding: 'windows-1252',
  identifiers: { user_id: 'no', email: 'mail', loyalty_card: 'card' },
  timestamp: { column: 'since', format: '%d.%m.%Y' },
  traits: { email: 'mail', age: { column: 'age', type: 'number', null: ['0'] }, city: 'town' },
}
const columns = ['no', 'mail', 'card', 'since', 'age', 'town', 'left over']

test('a mapping is the same after it was a table', () => {
  expect(withLines(guessed, lines(guessed, columns))).toEqual(guessed)
})

test('each column has a line for each of its uses, and one where it has none', () => {
  const of = lines(guessed, columns)
  expect(of.filter((one) => one.column === 'mail').map((one) => one.use)).toEqual(['email', 'trait'])
  expect(of.find((one) => one.column === 'left over')?.use).toBe('none')
})

test('a column gets another use, name and type', () => {
  const of = lines(guessed, columns).map((one) =>
    one.column === 'town' ? { ...one, use: 'property' as const, name: 'place', type: 'string' } : one,
  )
  const { traits, properties } = withLines(guessed, of)
  expect(Object.keys(traits ?? {})).toEqual(['email', 'age'])
  expect(properties).toEqual({ place: { column: 'town', type: 'string' } })
})

test('several events of a row, and names in columns, are not for the table', () => {
  expect(isSimple(guessed)).toBe(true)
  expect(isSimple({ ...guessed, events: [] })).toBe(false)
  expect(isSimple({ kind: 'track', event: { column: 'what' } })).toBe(false)
})
