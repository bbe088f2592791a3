// The segments there are, and how they overlap.
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { May } from '~/app/session'
import { useText } from '~/i18n'
import { Button, buttonClass } from '~/ui/Button'
import { Dialog } from '~/ui/Dialog'
import { CheckField } from '~/ui/Field'
import { Await, Badge, Empty, Num, Page, Percent } from '~/ui/Page'
import { Table } from '~/ui/Table'

type Segment = Shape<'SegmentView'>

/** As many as the picture in words can bear. */
const COMPARED_MAX = 4

function Overlap({ names, onClose }: { names: string[]; onClose: () => void }) {
  const t = useText()
  const asked = api.useQuery('post', '/api/v1/segments/overlap', { body: { segments: names } })
  return (
    <Dialog title={t('segments.overlap')} open onClose={onClose} wide>
      <Await of={asked}>
        {({ counts, overlaps }) => {
          const all = overlaps.reduce((sum, one) => sum + one.count, 0)
          return (
            <>
              <p>{names.map((name, place) => `${name}: ${counts[place] ?? 0}`).join(' · ')}</p>
              <Table<Shape<'Combination'>>
                label={t('segments.overlap')}
                rows={overlaps}
                rowKey={(one) => one.of.join()}
                columns={[
                  {
                    key: 'of',
                    title: t('segments.inExactly'),
                    cell: (one) => one.of.map((place) => names[place]).join(' + '),
                  },
                  {
                    key: 'count',
                    title: t('segments.people'),
                    end: true,
                    cell: (one) => <Num of={one.count} />,
                    sort: (one) => one.count,
                  },
                  {
                    key: 'share',
                    title: t('segments.share'),
                    end: true,
                    cell: (one) => <Percent of={all > 0 ? one.count / all : 0} />,
                  },
                ]}
              />
            </>
          )
        }}
      </Await>
    </Dialog>
  )
}

export function Segments() {
  const t = useText()
  const [chosen, setChosen] = useState<string[]>([])
  const [comparing, setComparing] = useState(false)
  const asked = api.useQuery('get', '/api/v1/segments', {}, { refetchInterval: 5_000 })
  const make = (
    <May do="segments.edit">
      <Link to="/segments/new" className={buttonClass('main')}>
        {t('segments.new')}
      </Link>
    </May>
  )
  const choose = (name: string, on: boolean) =>
    setChosen((before) => (on ? [...before, name] : before.filter((one) => one !== name)))
  return (
    <Page title={t('segments.title')} lead={t('segments.lead')} actions={make}>
      <Await of={asked}>
        {(segments) =>
          segments.length === 0 ? (
            <Empty title={t('segments.none')} action={make}>
              {t('segments.none.text')}
            </Empty>
          ) : (
            <>
              <Table<Segment>
                label={t('segments.title')}
                rows={segments}
                rowKey={(one) => one.name}
                columns={[
                  {
                    key: 'chosen',
                    title: t('segments.compare'),
                    cell: ({ name }) => (
                      <CheckField
                        label={<span className="hidden-text">{t('segments.compare.one', { name })}</span>}
                        checked={chosen.includes(name)}
                        disabled={!chosen.includes(name) && chosen.length >= COMPARED_MAX}
                        onChange={(event) => choose(name, event.target.checked)}
                      />
                    ),
                  },
                  {
                    key: 'name',
                    title: t('segments.name'),
                    cell: ({ name }) => (
                      <Link to="/segments/$name" params={{ name }}>
                        {name}
                      </Link>
                    ),
                    sort: (one) => one.name,
                  },
                  {
                    key: 'count',
                    title: t('segments.people'),
                    end: true,
                    cell: (one) => <Num of={one.count} />,
                    sort: (one) => one.count,
                  },
                  {
                    key: 'state',
                    title: t('segments.state'),
                    cell: (one) => <Badge tone={one.state === 'live' ? 'good' : 'warn'}>{one.state}</Badge>,
                  },
                  { key: 'text', title: t('segments.condition'), cell: (one) => <code>{one.text}</code> },
                ]}
              />
              <div>
                <Button disabled={chosen.length < 2} onClick={() => setComparing(true)}>
                  {t('segments.compare.button', { count: chosen.length })}
                </Button>
              </div>
              {comparing && <Overlap names={chosen} onClose={() => setComparing(false)} />}
            </>
          )
        }
      </Await>
    </Page>
  )
}
