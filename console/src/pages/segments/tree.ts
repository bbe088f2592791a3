// A condition as a tree, and what can be done to it. The form is the server's: docs/segments.md.

export type Test = Record<string, unknown>
export type Window = { within_ms?: number } & Record<string, unknown>
export type Events = {
  measure: string | Record<string, string>
  event?: string
  where?: unknown
  window?: Window
  is: Test
}
export type Condition =
  | { all: Condition[] }
  | { any: Condition[] }
  | { not: Condition }
  | { trait: { name: string; is: Test } }
  | { computed: { name: string; is: Test } }
  | { events: Events }
  | { segment: string }
  | { consent: { purpose: string; channel?: string } }
  | { sequence: Record<string, unknown> }

/** Places of children on the way from the root: `[0, 2]` is the third of the first. */
export type Path = readonly number[]
export type Group = { all: Condition[] } | { any: Condition[] }

export const isGroup = (node: Condition): node is Group => 'all' in node || 'any' in node

/** What a group holds. */
export const childrenOf = (group: Group): Condition[] => ('all' in group ? group.all : group.any)

/** A group of the same kind that holds this. */
const holding = (group: Group, children: Condition[]): Group => ('all' in group ? { all: children } : { any: children })

/** What is meant where a `not` stands before it. */
export const meant = (node: Condition): Condition => ('not' in node ? node.not : node)

/** The same node, with or without a `not`. */
export const negated = (node: Condition, not: boolean): Condition => (not ? { not: meant(node) } : meant(node))

/** The tree with a group at its root, as it is edited. */
export function rooted(condition: Condition): Group {
  return isGroup(condition) ? condition : { all: [condition] }
}

/** The condition that an edited tree is: a group of one is that one. */
export function bare(root: Group): Condition {
  const [only, ...others] = childrenOf(root)
  return only && others.length === 0 ? only : root
}

/** The node at a path. */
export function at(root: Condition, path: Path): Condition | undefined {
  let node: Condition | undefined = root
  for (const place of path) {
    const group: Condition | undefined = node && meant(node)
    node = group && isGroup(group) ? childrenOf(group)[place] : undefined
  }
  return node
}

/** The tree with the children of the group at a path changed. */
function changed(root: Condition, path: Path, change: (children: Condition[]) => Condition[]): Condition {
  if ('not' in root) return { not: changed(root.not, path, change) }
  if (!isGroup(root)) return root
  const [first, ...rest] = path
  const children = childrenOf(root)
  if (first === undefined) return holding(root, change(children))
  return holding(
    root,
    children.map((child, place) => (place === first ? changed(child, rest, change) : child)),
  )
}

const parent = (path: Path): Path => path.slice(0, -1)
const last = (path: Path): number => path.at(-1) ?? 0

export function replaced(root: Group, path: Path, node: Condition): Group {
  if (path.length === 0) return rooted(node)
  return changed(root, parent(path), (all) => all.map((one, place) => (place === last(path) ? node : one))) as Group
}

export function removed(root: Group, path: Path): Group {
  return changed(root, parent(path), (all) => all.filter((_, place) => place !== last(path))) as Group
}

/** Puts a node into the group at a path, before its child at a place. */
export function inserted(root: Group, group: Path, place: number, node: Condition): Group {
  return changed(root, group, (all) => [...all.slice(0, place), node, ...all.slice(place)]) as Group
}

const isWithin = (path: Path, other: Path): boolean => other.every((place, depth) => path[depth] === place)

/** Moves a node into a group, before the child at a place, both as they are before the move. Nothing moves into itself. */
export function moved(root: Group, from: Path, group: Path, place: number): Group {
  const node = at(root, from)
  if (!node || from.length === 0 || isWithin(group, from)) return root
  const depth = from.length - 1
  // What stands after the place that is left moves up by one.
  const shifts = isWithin(group, parent(from)) && group.length > depth && (group[depth] ?? 0) > last(from)
  const target = shifts ? group.map((one, level) => (level === depth ? one - 1 : one)) : group
  const same = group.length === depth && isWithin(group, parent(from))
  return inserted(removed(root, from), target, same && place > last(from) ? place - 1 : place, node)
}

const DAY_MS = 86_400_000

/** Days of a window that is written in days; `undefined`: another window, or none. */
export function daysOf(window: Window | undefined): number | undefined {
  const ms = window && Object.keys(window).length === 1 ? window.within_ms : undefined
  return ms === undefined || ms % DAY_MS !== 0 ? undefined : ms / DAY_MS
}

export const withinDays = (days: number): Window => ({ within_ms: days * DAY_MS })

/** What was typed as a value of a test: a number where it is one. */
export function typedValue(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
}
