// The consent policy, as far as the console edits it; docs/consent.md has the whole.

export const BASES = [
  'consent',
  'legitimate_interest',
  'public_task',
  'contract',
  'legal_obligation',
  'vital_interests',
] as const

export type Purpose = {
  title?: string
  description?: string
  channels?: string[]
  basis?: string
  expires_days?: number
  double_opt_in?: boolean
  sale?: boolean
  sensitive?: boolean
  automated?: boolean
  fields?: string[]
  signals?: string[]
  notice?: { id: string; version: string }
}

export type Policy = { purposes?: Record<string, Purpose>; [other: string]: unknown }

/** What may be said of a purpose by yes or no. */
export const MARKS = ['double_opt_in', 'sale', 'sensitive', 'automated'] as const

/** A policy with this purpose in place of the one called `before`, or without that. */
export function withPurpose(policy: Policy, before: string | undefined, name?: string, purpose?: Purpose): Policy {
  const others = Object.entries(policy.purposes ?? {}).filter(([other]) => other !== before && other !== name)
  const next = name !== undefined && purpose !== undefined ? [...others, [name, purpose] as const] : others
  return { ...policy, purposes: Object.fromEntries(next.sort(([a], [b]) => a.localeCompare(b))) }
}
