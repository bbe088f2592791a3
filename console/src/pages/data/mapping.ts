// A mapping of a file, as far as it is edited column by column; docs/import.md has the whole.

/** What a column becomes. */
export const USES = [
  'none',
  'user_id',
  'anonymous_id',
  'email',
  'phone',
  'identifier',
  'trait',
  'property',
  'timestamp',
  'message_id',
] as const
export type Use = (typeof USES)[number]

export const TYPES = ['', 'string', 'number', 'boolean', 'date', 'json', 'list'] as const

/** A column of the file: what it becomes, under which name, of which type. */
export type Line = { column: string; use: Use; name: string; type: string }

/** A column in a mapping: its name, or with settings. */
type Column = string | { column: string; type?: string; [other: string]: unknown }
export type Mapping = {
  kind?: string
  event?: string | { column: string }
  identifiers?: Record<string, Column>
  traits?: Record<string, Column>
  properties?: Record<string, Column>
  timestamp?: Column
  message_id?: Column
  events?: unknown
  [other: string]: unknown
}

/** Identifiers that have a use of their own. */
const OWN = ['user_id', 'anonymous_id', 'email', 'phone']

const nameOf = (column: Column): string => (typeof column === 'string' ? column : column.column)
const typeOf = (column: Column): string => (typeof column === 'string' ? '' : (column.type ?? ''))

/** Whether the table of columns says all of a mapping: one event of a row, whose name stands in no column. */
export function isSimple(mapping: Mapping): boolean {
  const kinds = ['identify', 'track']
  return mapping.events === undefined && kinds.includes(mapping.kind ?? '') && typeof mapping.event !== 'object'
}

/** What each column of the file becomes by a mapping: a line for each use, and one for a column without. */
export function lines(mapping: Mapping, columns: readonly string[]): Line[] {
  const found: Line[] = []
  const add = (column: Column | undefined, use: Use, name: string) => {
    if (column !== undefined) found.push({ column: nameOf(column), use, name, type: typeOf(column) })
  }
  for (const [name, column] of Object.entries(mapping.identifiers ?? {}))
    add(column, OWN.includes(name) ? (name as Use) : 'identifier', name)
  add(mapping.timestamp, 'timestamp', '')
  add(mapping.message_id, 'message_id', '')
  for (const [name, column] of Object.entries(mapping.traits ?? {})) add(column, 'trait', name)
  for (const [name, column] of Object.entries(mapping.properties ?? {})) add(column, 'property', name)
  return columns.flatMap((column) => {
    const uses = found.filter((one) => one.column === column)
    return uses.length > 0 ? uses : [{ column, use: 'none', name: column, type: '' }]
  })
}

/** The mapping with its columns used as these lines say; what the lines do not say of it stays. */
export function withLines(mapping: Mapping, of: readonly Line[]): Mapping {
  const { identifiers, traits, properties, timestamp, message_id, ...rest } = mapping
  const before = new Map<string, Column>()
  const keep = (use: string, name: string, column: Column | undefined) =>
    column !== undefined && before.set(`${use} ${name} ${nameOf(column)}`, column)
  for (const [name, column] of Object.entries(identifiers ?? {})) keep('identifier', name, column)
  for (const [name, column] of Object.entries(traits ?? {})) keep('trait', name, column)
  for (const [name, column] of Object.entries(properties ?? {})) keep('property', name, column)
  keep('timestamp', '', timestamp)
  keep('message_id', '', message_id)
  const column = (use: string, name: string, { column, type }: Line): Column => {
    const old = before.get(`${use} ${name} ${column}`)
    if (old !== undefined && typeOf(old) === type) return old
    if (type === '') return column
    return { ...(typeof old === 'object' ? old : {}), column, type }
  }
  const next: Mapping = { ...rest }
  for (const line of of) {
    const name = line.name.trim() || line.column
    if (line.use === 'none') continue
    if (line.use === 'timestamp' || line.use === 'message_id') next[line.use] = column(line.use, '', line)
    else if (line.use === 'trait') next.traits = { ...next.traits, [name]: column('trait', name, line) }
    else if (line.use === 'property') next.properties = { ...next.properties, [name]: column('property', name, line) }
    else {
      const kind = line.use === 'identifier' ? name : line.use
      next.identifiers = { ...next.identifiers, [kind]: column('identifier', kind, { ...line, type: '' }) }
    }
  }
  return next
}
