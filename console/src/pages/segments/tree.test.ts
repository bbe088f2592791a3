import { describe, expect, test } from 'vitest'
import {
  at,
  bare,
  type Condition,
  daysOf,
  type Group,
  inserted,
  moved,
  negated,
  removed,
  replaced,
  rooted,
  typedValue,
  withinDays,
} from './tree'

const one = (name: string): Condition => ({ segment: name })
const tree: Group = { all: [one('a'), { any: [one('b'), one('c')] }, { not: { all: [one('d')] } }, one('e')] }
const text = (node: Condition): string => {
  if ('not' in node) return `!${text(node.not)}`
  if ('all' in node) return `(${node.all.map(text).join(' ')})`
  if ('any' in node) return `[${node.any.map(text).join(' ')}]`
  return 'segment' in node ? node.segment : '?'
}

test('nodes are found, replaced, put in and taken out by their paths', () => {
  expect(text(at(tree, [1, 1]) as Condition)).toBe('c')
  expect(text(at(tree, [2, 0]) as Condition)).toBe('d')
  expect(at(tree, [0, 0])).toBeUndefined()
  expect(text(replaced(tree, [1, 0], one('x')))).toBe('(a [x c] !(d) e)')
  expect(text(removed(tree, [2, 0]))).toBe('(a [b c] !() e)')
  expect(text(inserted(tree, [2], 1, one('x')))).toBe('(a [b c] !(d x) e)')
})

describe('moves', () => {
  test.each([
    [[0], [], 4, '([b c] !(d) e a)'],
    [[3], [], 0, '(e a [b c] !(d))'],
    [[0], [], 1, '(a [b c] !(d) e)'],
    [[0], [1], 0, '([a b c] !(d) e)'],
    [[0], [2], 1, '([b c] !(d a) e)'],
    [[1, 0], [], 0, '(b a [c] !(d) e)'],
    [[1, 0], [1], 2, '(a [c b] !(d) e)'],
    [[1], [2], 0, '(a !([b c] d) e)'],
    [[2], [1], 1, '(a [b !(d) c] e)'],
    // Not into itself, nor is the root moved.
    [[1], [1], 0, '(a [b c] !(d) e)'],
    [[], [1], 0, '(a [b c] !(d) e)'],
  ])('%j into %j at %i', (from, group, place, expected) => {
    expect(text(moved(tree, from, group, place))).toBe(expected)
  })
})

test('a condition gets a root to be edited, and loses one that says nothing', () => {
  expect(bare(rooted(one('a')))).toEqual(one('a'))
  expect(bare(rooted(tree))).toEqual(tree)
  expect(bare({ any: [] })).toEqual({ any: [] })
  expect(negated(negated(one('a'), true), true)).toEqual({ not: one('a') })
  expect(negated({ not: one('a') }, false)).toEqual(one('a'))
})

test('windows in days and typed values', () => {
  expect(daysOf(withinDays(30))).toBe(30)
  expect(daysOf({ within_ms: 1000 })).toBeUndefined()
  expect(daysOf({ within_ms: 86_400_000, not: true })).toBeUndefined()
  expect(['1.5', ' 2 ', 'pro', '', 'true'].map(typedValue)).toEqual([1.5, 2, 'pro', '', true])
})
