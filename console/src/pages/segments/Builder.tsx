// A segment in the making: as a tree and as text, in step, with the count moving beside it.
import { keepPreviousData, useQueryClient } from '@tanstack/react-query'
import { Link, useBlocker, useNavigate } from '@tanstack/react-router'
import { useParam } from '~/app/params'
import { useEffect, useRef, useState } from 'react'
import { api, client, problemOf } from '~/api/client'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Form, TextArea, TextField } from '~/ui/Field'
import { Await, Card, Failure, Notice, Num, Page, Section } from '~/ui/Page'
import { useSay } from '~/ui/toast'
import { Suggestions } from './Rows'
import styles from './segments.module.css'
import { Tree } from './Tree'
import { bare, type Condition, type Group, rooted } from './tree'

/** After so long without a key the count is asked for. */
const PAUSE_MS = 150

type Draft = { name: string; description: string; purpose: string; owner: string; text: string }
type Start = Draft & { condition: Condition }

/** The value as it was when it last rested for a moment. */
function useRested<Value>(value: Value): Value {
  const [rested, setRested] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), PAUSE_MS)
    return () => clearTimeout(timer)
  }, [value])
  return rested
}

/** The two forms of a condition, each following the other by the server's own reading. */
function useBothForms(start: Start) {
  const [text, setText] = useState(start.text)
  const [root, setRoot] = useState<Group>(rooted(start.condition))
  const [error, setError] = useState<unknown>()
  // Answers to earlier changes come too late.
  const turn = useRef(0)
  const parse = async (condition: unknown, then: (both: { text: string; condition: Condition }) => void) => {
    turn.current += 1
    const own = turn.current
    const answer = await client
      .POST('/api/v1/segments/parse', { body: { condition: condition as Record<string, never> } })
      .catch((thrown: unknown) => ({ data: undefined, error: thrown }))
    if (own !== turn.current) return
    setError(answer.error)
    if (answer.data) then(answer.data as unknown as { text: string; condition: Condition })
  }
  return {
    text,
    root,
    error,
    type: (next: string) => {
      setText(next)
      void parse(next, (both) => setRoot(rooted(both.condition)))
    },
    draw: (next: Group) => {
      setRoot(next)
      void parse(bare(next), (both) => setText(both.text))
    },
  }
}

function Preview({ text, broken }: { text: string; broken: boolean }) {
  const t = useText()
  const asked = api.useQuery(
    'post',
    '/api/v1/segments/preview',
    { body: { text } },
    { enabled: !broken, placeholderData: keepPreviousData, staleTime: 0 },
  )
  return (
    <Section title={t('segments.preview')}>
      <Card>
        {asked.error ? (
          <Failure of={asked.error} />
        ) : (
          <Await of={asked} lines={2}>
            {({ count, sample }) => (
              <>
                <p className={styles.count} aria-busy={asked.isFetching} aria-live="polite">
                  <Num of={count} />
                </p>
                <p>{t('segments.wouldBeIn', { count })}</p>
                <ul>
                  {sample.slice(0, 5).map((id) => (
                    <li key={id}>
                      <Link to="/people/$identifier" params={{ identifier: id }}>
                        {id}
                      </Link>
                    </li>
                  ))}
                </ul>
              </>
            )}
          </Await>
        )}
      </Card>
    </Section>
  )
}

function Editor({ start, isNew }: { start: Start; isNew: boolean }) {
  const t = useText()
  const say = useSay()
  const cache = useQueryClient()
  const navigate = useNavigate()
  const [draft, setDraft] = useState<Draft>(start)
  const forms = useBothForms(start)
  const saved = useRef(false)
  const isChanged = forms.text !== start.text || JSON.stringify(draft) !== JSON.stringify(start)
  useBlocker({
    shouldBlockFn: () => !saved.current && isChanged && !window.confirm(t('segments.leave')),
    enableBeforeUnload: () => !saved.current && isChanged,
  })
  const rested = useRested(forms.text)
  const save = api.useMutation('put', '/api/v1/segments', {
    onSuccess: async ({ name }) => {
      saved.current = true
      say(t('segments.saved', { name }))
      await cache.invalidateQueries({ queryKey: ['get', '/api/v1/segments'] })
      void navigate({ to: '/segments/$name', params: { name } })
    },
  })
  const field = (key: keyof Draft) => ({
    value: draft[key],
    onChange: (event: { target: { value: string } }) => setDraft({ ...draft, [key]: event.target.value }),
  })
  const submit = () => {
    const { name, description, purpose, owner } = draft
    const said = Object.entries({ description, purpose, owner }).filter(([, value]) => value.trim() !== '')
    const body = { name: name.trim(), condition: forms.text, ...Object.fromEntries(said) }
    save.mutate({ body: body })
  }
  const needsApproval = save.error && problemOf(save.error).code === 'approval_needed'
  return (
    <Form onSubmit={submit} wide>
      <Suggestions />
      <div className={styles.builder}>
        <Section title={t('segments.condition')}>
          <Tree root={forms.root} onChange={forms.draw} />
          <div className={styles.text}>
            <TextArea
              label={t('segments.text')}
              hint={t('segments.text.hint')}
              value={forms.text}
              onChange={(event) => forms.type(event.target.value)}
              {...(forms.error ? { error: problemOf(forms.error).message } : {})}
            />
          </div>
        </Section>
        <div className={styles.aside}>
          <Preview text={rested} broken={forms.error !== undefined} />
          <Section title={t('segments.about')}>
            <TextField label={t('segments.name')} required disabled={!isNew} {...field('name')} />
            <TextField label={t('segments.description')} {...field('description')} />
            <TextField label={t('segments.purpose')} hint={t('segments.purpose.hint')} {...field('purpose')} />
            <TextField label={t('segments.owner')} {...field('owner')} />
            {needsApproval && <Notice tone="warn">{t('segments.approval')}</Notice>}
            <Failure of={save.error} />
            <Button
              type="submit"
              look="main"
              busy={save.isPending}
              disabled={draft.name.trim() === '' || forms.error !== undefined}
            >
              {t('segments.save')}
            </Button>
          </Section>
        </div>
      </div>
    </Form>
  )
}

const NOTHING: Start = { name: '', description: '', purpose: '', owner: '', text: 'everyone', condition: { all: [] } }

export function NewSegment() {
  const t = useText()
  return (
    <Page title={t('segments.new')} lead={t('segments.new.lead')}>
      <Editor start={NOTHING} isNew />
    </Page>
  )
}

export function EditSegment() {
  const t = useText()
  const name = useParam('name')
  const asked = api.useQuery('get', '/api/v1/segments/{name}', { params: { path: { name } } }, { staleTime: Infinity })
  return (
    <Page title={t('segments.edit.title', { name })} lead={t('segments.new.lead')}>
      <Await of={asked}>
        {({ text, definition }) => {
          const { condition, description = '', purpose = '', owner = '' } = definition as unknown as Start
          return <Editor key={text} start={{ name, description, purpose, owner, text, condition }} isNew={false} />
        }}
      </Await>
    </Page>
  )
}
