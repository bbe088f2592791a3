// The data directory: every field, what it holds, who answers for it, what it is for and where it goes.
import { useMemo, useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { FormDialog } from '~/ui/Dialog'
import { CheckField, Row, SelectField, TextArea, TextField, useTexts } from '~/ui/Field'
import { Await, Badge, Empty, Page, Time } from '~/ui/Page'
import { type Column, Table } from '~/ui/Table'
import { Frame } from './Data'

type Entry = Shape<'FieldEntry'>

const CLASSES = ['identifier', 'contact', 'sensitive', 'special_category', 'financial', 'free'] as const
const SAID = ['owner', 'steward', 'purpose', 'notice', 'description'] as const

type Catalog = { fields?: Record<string, Partial<Record<string, string>>>; [other: string]: unknown }

/** What people say of a field. */
function Say({ of, onClose }: { of: Entry; onClose: () => void }) {
  const t = useText()
  const { can } = useSession()
  const refresh = useRefresh('/api/v1/catalog')
  const name = 'catalog'
  const catalog = api.useQuery('get', '/api/v1/governance/{name}', { params: { path: { name } } })
  const put = api.useMutation('put', '/api/v1/governance/{name}')
  const classify = api.useMutation('put', '/api/v1/fields/{name}')
  const { texts, bind } = useTexts({
    class: of.class_said ? of.class : '',
    owner: of.said.owner ?? '',
    steward: of.said.steward ?? '',
    purpose: of.said.purpose ?? '',
    notice: of.said.notice ?? '',
    description: of.said.description ?? '',
  })
  const submit = async () => {
    const before = of.class_said ? of.class : ''
    if (texts.class !== before)
      await classify.mutateAsync({ params: { path: { name: of.name } }, body: { class: texts.class || null } })
    if (SAID.some((one) => texts[one] !== (of.said[one] ?? ''))) {
      const whole = (catalog.data ?? {}) as Catalog
      const said: Record<string, string> = {}
      for (const one of SAID) if (texts[one].trim() !== '') said[one] = texts[one].trim()
      await put.mutateAsync({
        params: { path: { name } },
        body: { ...whole, fields: { ...whole.fields, [of.name]: said } },
      })
    }
    refresh()
  }
  return (
    <FormDialog title={of.name} action={t('ui.save')} incomplete={!catalog.data} onSubmit={submit} onClose={onClose}>
      {can('fields.edit') && (
        <SelectField
          label={t('data.catalogue.class')}
          hint={t('data.catalogue.class.hint')}
          options={[
            { value: '', label: t('data.catalogue.byName') },
            ...CLASSES.map((value) => ({ value, label: t(`settings.class.${value}`) })),
          ]}
          {...bind('class')}
        />
      )}
      {can('governance.edit') && (
        <>
          <TextField label={t('data.catalogue.owner')} {...bind('owner')} />
          <TextField label={t('data.catalogue.steward')} {...bind('steward')} />
          <TextField label={t('data.catalogue.purpose')} {...bind('purpose')} />
          <TextField label={t('data.catalogue.notice')} {...bind('notice')} />
          <TextArea label={t('data.catalogue.description')} {...bind('description')} />
        </>
      )}
    </FormDialog>
  )
}

export function Catalogue() {
  const t = useText()
  const { can } = useSession()
  const [unused, setUnused] = useState(false)
  const [edited, setEdited] = useState<Entry>()
  const { texts, bind } = useTexts({ find: '' })
  const asked = api.useQuery('get', '/api/v1/catalog', { params: { query: unused ? { unused } : {} } })
  const found = useMemo(
    () => asked.data?.fields.filter((one) => one.name.toLowerCase().includes(texts.find.toLowerCase())) ?? [],
    [asked.data, texts.find],
  )
  const action: Column<Entry> = {
    key: 'action',
    title: t('data.action'),
    cell: (one) => (
      <Button look="quiet" onClick={() => setEdited(one)}>
        {t('data.catalogue.say')}
        <span className="hidden-text">{one.name}</span>
      </Button>
    ),
  }
  return (
    <Frame>
      <Page title={t('data.catalogue')} lead={t('data.catalogue.lead')}>
        <Row>
          <TextField label={t('data.catalogue.find')} type="search" {...bind('find')} />
          <CheckField
            label={t('data.catalogue.unused')}
            checked={unused}
            onChange={(event) => setUnused(event.target.checked)}
          />
        </Row>
        <Await of={asked}>
          {() =>
            found.length === 0 ? (
              <Empty title={t('data.catalogue.none')} />
            ) : (
              <Table<Entry>
                label={t('data.catalogue')}
                rows={found}
                rowKey={(one) => `${one.scope} ${one.name}`}
                columns={[
                  {
                    key: 'name',
                    title: t('data.catalogue.field'),
                    cell: (one) => (
                      <>
                        {one.name} {one.unused && <Badge tone="warn">{t('data.catalogue.isUnused')}</Badge>}
                      </>
                    ),
                    sort: (one) => one.name,
                  },
                  {
                    key: 'scope',
                    title: t('data.catalogue.scope'),
                    cell: (one) => t(`data.catalogue.scope.${one.scope}`),
                    sort: (one) => one.scope,
                  },
                  {
                    key: 'class',
                    title: t('data.catalogue.class'),
                    cell: (one) => t(`settings.class.${one.class}`),
                    sort: (one) => one.class,
                  },
                  { key: 'source', title: t('data.catalogue.source'), cell: (one) => one.source },
                  { key: 'types', title: t('data.catalogue.types'), cell: (one) => one.types.join(', ') },
                  {
                    key: 'purposes',
                    title: t('data.catalogue.purposes'),
                    cell: (one) => one.purposes.join(', ') || '–',
                  },
                  { key: 'owner', title: t('data.catalogue.owner'), cell: (one) => one.said.owner ?? '–' },
                  {
                    key: 'uses',
                    title: t('data.catalogue.uses'),
                    cell: (one) => one.uses.map((use) => use.name).join(', ') || '–',
                  },
                  {
                    key: 'seen',
                    title: t('data.catalogue.seen'),
                    cell: (one) => <Time of={one.last_seen} />,
                    sort: (one) => one.last_seen,
                  },
                  ...(can('fields.edit') || can('governance.edit') ? [action] : []),
                ]}
              />
            )
          }
        </Await>
        {edited && <Say of={edited} onClose={() => setEdited(undefined)} />}
      </Page>
    </Frame>
  )
}
