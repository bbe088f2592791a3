import { useText } from '~/i18n'
import type { Shape } from '~/api/client'
import { Empty, Num } from '~/ui/Page'
import { Table } from '~/ui/Table'

/** What another policy would change: by use, who could be reached then and cannot now, and the other way round. */
export function Tried({ of }: { of: Shape<'Tried'> }) {
  const t = useText()
  if (of.uses.length === 0) return <Empty title={t('privacy.tried.none')} />
  const number = (key: 'may_now' | 'may_then' | 'gained' | 'lost') => ({
    key,
    title: t(`privacy.tried.${key}`),
    end: true,
    cell: (one: Shape<'UseTried'>) => <Num of={one[key]} />,
    sort: (one: Shape<'UseTried'>) => one[key],
  })
  return (
    <Table<Shape<'UseTried'>>
      label={t('privacy.tried')}
      rows={of.uses}
      rowKey={(one) => `${one.purpose} ${one.channel ?? ''}`}
      columns={[
        { key: 'purpose', title: t('privacy.purpose'), cell: (one) => one.purpose, sort: (one) => one.purpose },
        { key: 'channel', title: t('privacy.channel'), cell: (one) => one.channel ?? '–' },
        number('may_now'),
        number('may_then'),
        number('gained'),
        number('lost'),
      ]}
    />
  )
}
