// A purpose of the consent policy: what it is called, on which ground it rests; what it would change, before it does.
import { useState } from 'react'
import { api } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { FormDialog } from '~/ui/Dialog'
import { CheckField, listed, Row, SelectField, TextArea, TextField, useTexts } from '~/ui/Field'
import { Failure } from '~/ui/Page'
import { BASES, MARKS, type Policy, type Purpose, withPurpose } from './policy'
import { Tried } from './Tried'

export function PurposeForm({ policy, name, onClose }: { policy: Policy; name?: string; onClose: () => void }) {
  const t = useText()
  const before: Purpose = (name === undefined ? undefined : policy.purposes?.[name]) ?? {}
  const refresh = useRefresh('/api/v1/settings', '/api/v1/consents/reach')
  const attempt = api.useMutation('post', '/api/v1/consents/policy/try')
  const save = api.useMutation('put', '/api/v1/consents/policy', { onSuccess: refresh })
  const [marks, setMarks] = useState<string[]>(MARKS.filter((mark) => before[mark]))
  const { texts, bind } = useTexts({
    name: name ?? '',
    title: before.title ?? '',
    description: before.description ?? '',
    basis: before.basis ?? 'consent',
    channels: before.channels?.join(', ') ?? '',
    signals: before.signals?.join(', ') ?? '',
    fields: before.fields?.join(', ') ?? '',
    days: before.expires_days?.toString() ?? '',
    notice: before.notice?.id ?? '',
    version: before.notice?.version ?? '',
  })
  const next = (): Policy => {
    const { title, description, basis, days, notice, version } = texts
    const lists = { channels: listed(texts.channels), signals: listed(texts.signals), fields: listed(texts.fields) }
    const purpose: Purpose = {
      basis,
      ...(title && { title }),
      ...(description && { description }),
      ...(days && { expires_days: Number(days) }),
      ...(notice && { notice: { id: notice, version: version || '1' } }),
      ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
      ...Object.fromEntries(marks.map((mark) => [mark, true])),
    }
    return withPurpose(policy, name, texts.name.trim(), purpose)
  }
  return (
    <FormDialog
      title={name === undefined ? t('privacy.purpose.add') : t('privacy.purpose.of', { name })}
      action={t('ui.save')}
      wide
      incomplete={texts.name.trim() === ''}
      onSubmit={() => save.mutateAsync({ body: next() })}
      onClose={onClose}
    >
      <Row>
        <TextField label={t('privacy.name')} hint={t('privacy.name.hint')} required {...bind('name')} />
        <SelectField
          label={t('privacy.basis')}
          options={BASES.map((value) => ({ value, label: t(`privacy.basis.${value}`) }))}
          {...bind('basis')}
        />
      </Row>
      <TextField label={t('privacy.purpose.title')} hint={t('privacy.purpose.title.hint')} {...bind('title')} />
      <TextArea label={t('privacy.purpose.description')} {...bind('description')} />
      <Row>
        <TextField label={t('privacy.channels')} hint={t('privacy.channels.hint')} {...bind('channels')} />
        <TextField label={t('privacy.signals')} hint={t('privacy.signals.hint')} {...bind('signals')} />
        <TextField label={t('privacy.fields')} hint={t('privacy.fields.hint')} {...bind('fields')} />
      </Row>
      <Row>
        <TextField label={t('privacy.days')} type="number" min={1} {...bind('days')} />
        <TextField label={t('privacy.notice')} {...bind('notice')} />
        <TextField label={t('privacy.version')} {...bind('version')} />
      </Row>
      {MARKS.map((mark) => (
        <CheckField
          key={mark}
          label={t(`privacy.mark.${mark}`)}
          hint={t(`privacy.mark.${mark}.hint`)}
          checked={marks.includes(mark)}
          onChange={(event) =>
            setMarks((now) => (event.target.checked ? [...now, mark] : now.filter((other) => other !== mark)))
          }
        />
      ))}
      <p>
        <Button
          busy={attempt.isPending}
          disabled={texts.name.trim() === ''}
          onClick={() => attempt.mutate({ body: { consent_policy: next() } })}
        >
          {t('ui.document.try')}
        </Button>
      </p>
      <Failure of={attempt.error} />
      {attempt.data && <Tried of={attempt.data} />}
    </FormDialog>
  )
}
