import type { Shape } from '~/api/client'

/** Kinds of identifiers, the one that people know best first. */
const KNOWN = ['email', 'phone', 'user_id', 'loyalty_card']

/** What somebody is called who has no name: the identifier that says most. */
export function nameOf(identifiers: readonly Shape<'IdentifierView'>[]): string {
  const rank = (kind: string) => (KNOWN.includes(kind) ? KNOWN.indexOf(kind) : KNOWN.length)
  const [first] = [...identifiers].sort((a, b) => rank(a.kind) - rank(b.kind))
  return first?.value ?? ''
}

/** What a value is in words: text as it is, everything else as JSON. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
