// Form controls: native ones, because nothing is more accessible, each with its label, a hint and what is wrong with it.
import { type ChangeEvent, type ComponentProps, type FormEvent, type ReactNode, useId, useState } from 'react'
import styles from './field.module.css'

type About = { label: ReactNode; hint?: ReactNode; error?: ReactNode; hideLabel?: boolean }

function Frame({
  label,
  hint,
  error,
  hideLabel,
  children,
}: About & { children: (ids: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: true }) => ReactNode }) {
  const id = useId()
  const told = [hint ? `${id}-hint` : '', error ? `${id}-error` : ''].filter(Boolean).join(' ')
  return (
    <div className={styles.field}>
      <label htmlFor={id} className={hideLabel ? 'hidden-text' : styles.label}>
        {label}
      </label>
      {hint && (
        <span id={`${id}-hint`} className={styles.hint}>
          {hint}
        </span>
      )}
      {children({ id, ...(told && { 'aria-describedby': told }), ...(error ? { 'aria-invalid': true as const } : {}) })}
      {error && (
        <span id={`${id}-error`} className={styles.error}>
          {error}
        </span>
      )}
    </div>
  )
}

export function TextField({ label, hint, error, hideLabel, ...rest }: About & ComponentProps<'input'>) {
  return (
    <Frame {...{ label, hint, error, hideLabel: hideLabel === true }}>
      {(ids) => <input className={styles.input} autoComplete="off" {...ids} {...rest} />}
    </Frame>
  )
}

export function TextArea({ label, hint, error, hideLabel, ...rest }: About & ComponentProps<'textarea'>) {
  return (
    <Frame {...{ label, hint, error, hideLabel: hideLabel === true }}>
      {(ids) => <textarea className={styles.input} spellCheck={false} {...ids} {...rest} />}
    </Frame>
  )
}

export type Option = { value: string; label: string }

export function SelectField({
  label,
  hint,
  error,
  hideLabel,
  options,
  ...rest
}: About & ComponentProps<'select'> & { options: readonly Option[] }) {
  return (
    <Frame {...{ label, hint, error, hideLabel: hideLabel === true }}>
      {(ids) => (
        <select className={styles.input} {...ids} {...rest}>
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Frame>
  )
}

export function CheckField({ label, hint, ...rest }: Pick<About, 'label' | 'hint'> & ComponentProps<'input'>) {
  const id = useId()
  return (
    <div className={styles.check}>
      <input type="checkbox" id={id} {...(hint ? { 'aria-describedby': `${id}-hint` } : {})} {...rest} />
      <span>
        <label htmlFor={id}>{label}</label>
        {hint && (
          <>
            <br />
            <span id={`${id}-hint`} className={styles.hint}>
              {hint}
            </span>
          </>
        )}
      </span>
    </div>
  )
}

/** A form that does not leave the page. */
export function Form({ onSubmit, children, wide }: { onSubmit: () => void; children: ReactNode; wide?: boolean }) {
  const submit = (event: FormEvent) => {
    event.preventDefault()
    onSubmit()
  }
  return (
    <form className={styles.form} style={wide ? { maxWidth: 'none' } : {}} onSubmit={submit} noValidate>
      {children}
    </form>
  )
}

/** Controls side by side. */
export function Row({ children }: { children: ReactNode }) {
  return <div className={styles.row}>{children}</div>
}

type Typed = ChangeEvent<HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement>

/** The texts of a form's fields, by name: `<TextField {...bind('name')} />`. */
export function useTexts<Name extends string>(first: Record<Name, string>) {
  const [texts, setTexts] = useState(first)
  return {
    texts,
    set: (change: Partial<Record<Name, string>>) => setTexts((before) => ({ ...before, ...change })),
    bind: (name: Name) => ({
      name,
      value: texts[name],
      onChange: (event: Typed) => setTexts((before) => ({ ...before, [name]: event.target.value })),
    }),
  }
}

/** What stands between commas or on lines of its own, without what is empty. */
export function listed(text: string): string[] {
  return text
    .split(/[,\n]/)
    .map((one) => one.trim())
    .filter((one) => one !== '')
}
