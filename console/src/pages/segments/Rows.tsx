// One condition of a person, edited by controls. What has no controls is shown as it is, and edited as text.
import type { ReactNode } from 'react'
import { api } from '~/api/client'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { SelectField, TextField } from '~/ui/Field'
import styles from './segments.module.css'
import { type Condition, daysOf, type Events, type Test, typedValue, withinDays } from './tree'

/** Tests of one value, in the order of the list, and whether they need a value. */
const TESTS = ['equals', 'not_equals', 'greater', 'at_least', 'less', 'at_most', 'contains', 'starts_with'] as const
const PRESENCE = { there: { exists: true }, absent: { exists: false } } as const
const MEASURES = ['count', 'sum', 'average', 'min', 'max', 'distinct', 'first', 'last'] as const
/** Those that ask about a property. */
const OF_PROPERTY: readonly string[] = ['sum', 'average', 'min', 'max', 'distinct']
/** Those that ask whether there is one in the window. */
const OF_TIME: readonly string[] = ['first', 'last']

/** Names that may stand in a field, offered as one types. */
function Names({ id, names }: { id: string; names: readonly string[] }) {
  return (
    <datalist id={id}>
      {[...new Set(names)].map((name) => (
        <option key={name} value={name} />
      ))}
    </datalist>
  )
}

/** What there is to be asked about. */
export function Suggestions() {
  const { can } = useSession()
  const properties = api.useQuery('get', '/api/v1/properties', {}, { enabled: can('sources.view') }).data ?? []
  const segments = api.useQuery('get', '/api/v1/segments', {}).data ?? []
  const computed = api.useQuery('get', '/api/v1/computed', {}).data ?? []
  const of = (scope: string) => properties.filter((one) => one.scope === scope)
  return (
    <>
      <Names id="known-traits" names={of('trait').map((one) => one.name)} />
      <Names id="known-events" names={of('property').map((one) => one.event)} />
      <Names id="known-properties" names={of('property').map((one) => one.name)} />
      <Names id="known-segments" names={segments.map((one) => one.name)} />
      <Names id="known-computed" names={computed.map((one) => one.name)} />
    </>
  )
}

/** Whether a test has controls. */
function isPlain(test: Test): boolean {
  const [name, ...others] = Object.keys(test)
  if (name === undefined || others.length > 0) return false
  return name === 'exists' || ((TESTS as readonly string[]).includes(name) && typeof test[name] !== 'object')
}

function TestFields({ test, onChange }: { test: Test; onChange: (test: Test) => void }) {
  const t = useText()
  const [name = 'exists'] = Object.keys(test)
  const chosen = name === 'exists' ? (test.exists ? 'there' : 'absent') : name
  const options = [...TESTS, 'there', 'absent'].map((value) => ({ value, label: t(`segments.test.${value}`) }))
  const choose = (next: string) =>
    onChange(
      next === 'there' || next === 'absent'
        ? { ...PRESENCE[next] }
        : { [next]: test[name] === true ? '' : (test[name] ?? '') },
    )
  return (
    <>
      <SelectField
        label={t('segments.test')}
        hideLabel
        options={options}
        value={chosen}
        onChange={(event) => choose(event.target.value)}
      />
      {name !== 'exists' && (
        <TextField
          label={t('segments.value')}
          hideLabel
          value={String(test[name])}
          onChange={(event) => onChange({ [name]: typedValue(event.target.value) })}
        />
      )}
    </>
  )
}

/** Whether there are controls for a behaviour. */
function isPlainEvents({ measure, where, window, is, event }: Events): boolean {
  const known = typeof measure === 'string' || Object.keys(measure).length === 1
  return (
    known &&
    where === undefined &&
    event !== undefined &&
    (window === undefined || daysOf(window) !== undefined) &&
    isPlain(is)
  )
}

function EventFields({ of, onChange }: { of: Events; onChange: (of: Events) => void }) {
  const t = useText()
  const [measure = 'count', property] =
    typeof of.measure === 'string' ? [of.measure] : (Object.entries(of.measure)[0] ?? [])
  const days = daysOf(of.window)
  const choose = (next: string) =>
    onChange({
      ...of,
      measure: OF_PROPERTY.includes(next) ? { [next]: property ?? '' } : next,
      is: OF_TIME.includes(next) ? { exists: true } : 'exists' in of.is ? { at_least: 1 } : of.is,
    })
  const { window: _, ...always } = of
  return (
    <>
      <SelectField
        label={t('segments.measure')}
        hideLabel
        options={MEASURES.map((value) => ({ value, label: t(`segments.measure.${value}`) }))}
        value={measure}
        onChange={(event) => choose(event.target.value)}
      />
      <TextField
        label={t('segments.event')}
        list="known-events"
        placeholder={t('segments.event')}
        hideLabel
        value={of.event ?? ''}
        onChange={(event) => onChange({ ...of, event: event.target.value })}
      />
      {property !== undefined && (
        <TextField
          label={t('segments.property')}
          list="known-properties"
          placeholder={t('segments.property')}
          hideLabel
          value={property}
          onChange={(event) => onChange({ ...of, measure: { [measure]: event.target.value } })}
        />
      )}
      {!OF_TIME.includes(measure) && <TestFields test={of.is} onChange={(is) => onChange({ ...of, is })} />}
      <TextField
        label={t('segments.days')}
        hideLabel
        placeholder={t('segments.days')}
        type="number"
        min={1}
        value={days ?? ''}
        onChange={(event) => {
          const wanted = event.target.valueAsNumber
          onChange(wanted >= 1 ? { ...of, window: withinDays(Math.floor(wanted)) } : always)
        }}
      />
    </>
  )
}

/** The controls of a condition that is no group; text where there are none. */
export function Controls({
  of,
  text,
  onChange,
}: {
  of: Condition
  text: ReactNode
  onChange: (of: Condition) => void
}) {
  const t = useText()
  const named = (value: string, list: string, label: string, change: (name: string) => Condition) => (
    <TextField
      label={label}
      hideLabel
      placeholder={label}
      list={list}
      value={value}
      onChange={(event) => onChange(change(event.target.value))}
    />
  )
  if ('trait' in of && isPlain(of.trait.is))
    return (
      <div className={styles.fields}>
        {named(of.trait.name, 'known-traits', t('segments.kind.trait'), (name) => ({ trait: { ...of.trait, name } }))}
        <TestFields test={of.trait.is} onChange={(is) => onChange({ trait: { ...of.trait, is } })} />
      </div>
    )
  if ('computed' in of && isPlain(of.computed.is))
    return (
      <div className={styles.fields}>
        {named(of.computed.name, 'known-computed', t('segments.kind.computed'), (name) => ({
          computed: { ...of.computed, name },
        }))}
        <TestFields test={of.computed.is} onChange={(is) => onChange({ computed: { ...of.computed, is } })} />
      </div>
    )
  if ('events' in of && isPlainEvents(of.events))
    return (
      <div className={styles.fields}>
        <EventFields of={of.events} onChange={(events) => onChange({ events })} />
      </div>
    )
  if ('segment' in of)
    return (
      <div className={styles.fields}>
        {named(of.segment, 'known-segments', t('segments.kind.segment'), (segment) => ({ segment }))}
      </div>
    )
  if ('consent' in of)
    return (
      <div className={styles.fields}>
        {named(of.consent.purpose, '', t('segments.purpose'), (purpose) => ({ consent: { ...of.consent, purpose } }))}
        {named(of.consent.channel ?? '', '', t('segments.channel'), (channel) => ({
          consent: { purpose: of.consent.purpose, ...(channel ? { channel } : {}) },
        }))}
      </div>
    )
  return <div>{text}</div>
}
