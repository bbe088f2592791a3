// A destination set up or set up otherwise: the form is made of what the connector says it needs.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { useText } from '~/i18n'
import { FormDialog } from '~/ui/Dialog'
import { CheckField, listed, SelectField, TextArea, TextField } from '~/ui/Field'
import { Await, Notice } from '~/ui/Page'
import type { Destination } from './Destinations'

/** What a connector asks for: JSON Schema, as far as connectors use it. */
type Asked = {
  type?: string
  enum?: string[]
  title?: string
  description?: string
  default?: unknown
  minimum?: number
  maximum?: number
  writeOnly?: boolean
  items?: { type?: string }
}
type Schema = { title?: string; required?: string[]; properties?: Record<string, Asked> }
type Values = Record<string, string | boolean>

/** A value as its field shows it. */
function text(of: Asked, value: unknown): string | boolean {
  if (of.type === 'boolean') return value === true
  if (value === undefined || value === null) return ''
  if (of.type === 'array' && of.items?.type === 'string' && Array.isArray(value)) return value.join('\n')
  if (typeof value === 'string') return value
  return JSON.stringify(value, null, 2)
}

/** What a field holds, as the connector wants it; `undefined` where nothing is said. Fails on JSON that is none. */
function value(of: Asked, said: string | boolean | undefined): unknown {
  if (of.type === 'boolean') return said === true
  if (typeof said !== 'string' || said.trim() === '') return undefined
  if (of.type === 'integer' || of.type === 'number') return Number(said)
  if (of.type === 'array' && of.items?.type === 'string') return listed(said)
  if (of.type === 'array' || of.type === 'object') return JSON.parse(said) as unknown
  return said
}

function Field({
  name,
  of,
  said,
  required,
  keeps,
  set,
}: {
  name: string
  of: Asked
  said: string | boolean | undefined
  required: boolean
  /** It is a secret that is there already, and must be given anew. */
  keeps: boolean
  set: (value: string | boolean) => void
}) {
  const t = useText()
  const label = of.title ?? name
  const hint = [of.description, keeps ? t('destinations.secret') : ''].filter(Boolean).join(' ') || undefined
  if (of.type === 'boolean')
    return (
      <CheckField label={label} hint={hint} checked={said === true} onChange={(event) => set(event.target.checked)} />
    )
  const shared = { label, hint, required, value: typeof said === 'string' ? said : '' }
  if (of.enum)
    return (
      <SelectField
        {...shared}
        options={[...(required ? [] : ['']), ...of.enum].map((one) => ({ value: one, label: one || '–' }))}
        onChange={(event) => set(event.target.value)}
      />
    )
  if (of.type === 'array' || of.type === 'object')
    return (
      <TextArea
        {...shared}
        hint={[hint, of.items?.type === 'string' ? t('destinations.lines') : 'JSON'].filter(Boolean).join(' · ')}
        onChange={(event) => set(event.target.value)}
      />
    )
  const isNumber = of.type === 'integer' || of.type === 'number'
  return (
    <TextField
      {...shared}
      type={of.writeOnly ? 'password' : isNumber ? 'number' : 'text'}
      autoComplete={of.writeOnly ? 'new-password' : 'off'}
      {...(isNumber && { min: of.minimum, max: of.maximum })}
      onChange={(event) => set(event.target.value)}
    />
  )
}

function Fields({ kinds, of, onClose }: { kinds: Shape<'ConnectorView'>[]; of?: Destination; onClose: () => void }) {
  const t = useText()
  const [kind, setKind] = useState(of?.kind ?? kinds[0]?.kind ?? '')
  const [name, setName] = useState(of?.name ?? '')
  const [segments, setSegments] = useState<string[]>(of?.segments ?? [])
  const [events, setEvents] = useState(of?.events.join(', ') ?? '')
  const schema = (kinds.find((one) => one.kind === kind)?.config ?? {}) as Schema
  const asked = Object.entries(schema.properties ?? {})
  const [values, setValues] = useState<Values>({})
  const said = (field: string, one: Asked) => values[field] ?? text(one, of?.config[field] ?? one.default)
  const known = api.useQuery('get', '/api/v1/segments', {})
  const refresh = useRefresh('/api/v1/destinations')
  const save = api.useMutation('put', '/api/v1/destinations', { onSuccess: refresh })
  const missing = (schema.required ?? []).some((field) => said(field, schema.properties?.[field] ?? {}) === '')
  const submit = async () => {
    const config: Record<string, unknown> = {}
    for (const [field, one] of asked) {
      try {
        const found = value(one, said(field, one))
        if (found !== undefined) config[field] = found
      } catch (error) {
        throw { code: 'bad_config', message: `${one.title ?? field}: ${String(error)}`, cure: '' }
      }
    }
    await save.mutateAsync({ body: { name: name.trim(), kind, segments, events: listed(events), config } })
  }
  return (
    <FormDialog
      title={of ? t('destinations.edit', { name: of.name }) : t('destinations.add')}
      action={t('ui.save')}
      wide
      incomplete={name.trim() === '' || missing}
      onSubmit={submit}
      onClose={onClose}
    >
      {of === undefined && (
        <>
          <SelectField
            label={t('destinations.kind')}
            value={kind}
            options={kinds.map((one) => ({ value: one.kind, label: (one.config as Schema).title ?? one.kind }))}
            onChange={(event) => {
              setKind(event.target.value)
              setValues({})
            }}
          />
          <TextField
            label={t('destinations.name')}
            required
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        </>
      )}
      {asked.map(([field, one]) => (
        <Field
          key={`${kind} ${field}`}
          name={field}
          of={one}
          said={said(field, one)}
          required={schema.required?.includes(field) === true}
          keeps={of !== undefined && one.writeOnly === true}
          set={(next) => setValues((before) => ({ ...before, [field]: next }))}
        />
      ))}
      <fieldset>
        <legend>{t('destinations.segments')}</legend>
        {known.data?.length === 0 && <Notice>{t('destinations.noSegments')}</Notice>}
        {known.data?.map((one) => (
          <CheckField
            key={one.name}
            label={one.name}
            checked={segments.includes(one.name)}
            onChange={(event) =>
              setSegments((now) =>
                event.target.checked ? [...now, one.name] : now.filter((other) => other !== one.name),
              )
            }
          />
        ))}
      </fieldset>
      <TextField
        label={t('destinations.events')}
        hint={t('destinations.events.hint')}
        value={events}
        onChange={(event) => setEvents(event.target.value)}
      />
    </FormDialog>
  )
}

/** Sets up a destination, or one that there is otherwise. */
export function SetUp({ of, onClose }: { of?: Destination; onClose: () => void }) {
  const asked = api.useQuery('get', '/api/v1/connectors', {})
  return <Await of={asked}>{(kinds) => <Fields kinds={kinds} {...(of && { of })} onClose={onClose} />}</Await>
}
