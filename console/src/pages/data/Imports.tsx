// A file brought from this computer: its columns mapped by hand, tried, and imported with progress.
import { useState } from 'react'
import { api, client, headers, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { CodeEditor } from '~/ui/CodeEditor'
import { CheckField, Form, Row, SelectField, TextField, useTexts } from '~/ui/Field'
import { Card, Empty, Facts, Failure, Notice, Num, Page, Section, Share } from '~/ui/Page'
import { Table } from '~/ui/Table'
import { useSay } from '~/ui/toast'
import { Frame } from './Data'
import { isSimple, type Line, lines, type Mapping, TYPES, type Use, USES, withLines } from './mapping'

type Upload = Shape<'Upload'>

/** Brings the file; `fetch` does not say how far it is, so an older way is taken that does. */
function bring(file: File, told: (share: number) => void): Promise<Upload> {
  const nobody = { code: 'unreachable', message: '', cure: '' }
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    const fail = (why: unknown) => reject(Object.assign(new Error(), nobody, why))
    request.open('POST', `/api/v1/uploads?file=${encodeURIComponent(file.name)}`)
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value)
    request.responseType = 'json'
    request.upload.onprogress = (event) => told(event.lengthComputable ? event.loaded / event.total : 0)
    request.onload = () => (request.status === 200 ? resolve(request.response as Upload) : fail(request.response))
    request.onerror = () => fail(undefined)
    request.send(file)
  })
}

function Choose({ onBrought }: { onBrought: (upload: Upload) => void }) {
  const t = useText()
  const [file, setFile] = useState<File>()
  const [state, setState] = useState<{ share?: number; error?: unknown }>({})
  const submit = () => {
    if (!file) return
    setState({ share: 0 })
    bring(file, (share) => setState({ share })).then(onBrought, (error: unknown) => setState({ error }))
  }
  return (
    <Card>
      <Form onSubmit={submit}>
        <TextField
          label={t('data.import.file')}
          hint={t('data.import.file.hint')}
          type="file"
          required
          onChange={(event) => setFile(event.target.files?.[0])}
        />
        <Failure of={state.error} />
        {state.share !== undefined && (
          <p role="status">
            {t('data.import.bringing')} <Share of={state.share} />
          </p>
        )}
        <p>
          <Button type="submit" look="main" busy={state.share !== undefined} disabled={!file}>
            {t('data.import.bring')}
          </Button>
        </p>
      </Form>
    </Card>
  )
}

function Columns({ of, mapping, set }: { of: Upload; mapping: Mapping; set: (mapping: Mapping) => void }) {
  const t = useText()
  const rows = lines(
    mapping,
    of.columns.map((one) => one.name),
  )
  const change = (place: number, to: Partial<Line>) =>
    set(
      withLines(
        mapping,
        rows.map((line, number) => (number === place ? { ...line, ...to } : line)),
      ),
    )
  const examples = (column: string) => of.columns.find((one) => one.name === column)?.examples.join(', ')
  const named = (use: Use) => use === 'identifier' || use === 'trait' || use === 'property'
  const numbered = rows.map((line, place) => ({ line, place }))
  return (
    <Table<{ line: Line; place: number }>
      label={t('data.import.columns')}
      rows={numbered}
      rowKey={(one) => one.place}
      columns={[
        { key: 'column', title: t('data.import.column'), cell: ({ line }) => line.column },
        { key: 'examples', title: t('data.import.examples'), cell: ({ line }) => examples(line.column) },
        {
          key: 'use',
          title: t('data.import.use'),
          cell: ({ line, place }) => (
            <SelectField
              label={t('data.import.use.of', { column: line.column })}
              hideLabel
              value={line.use}
              onChange={(event) => change(place, { use: event.target.value as Use })}
              options={USES.map((value) => ({ value, label: t(`data.import.use.${value}`) }))}
            />
          ),
        },
        {
          key: 'name',
          title: t('data.import.name'),
          cell: ({ line, place }) =>
            named(line.use) && (
              <TextField
                label={t('data.import.name.of', { column: line.column })}
                hideLabel
                // Kept as it is typed: the name is a key of the mapping, and is set when it is left.
                key={line.name}
                defaultValue={line.name}
                onBlur={(event) => event.target.value !== line.name && change(place, { name: event.target.value })}
              />
            ),
        },
        {
          key: 'type',
          title: t('data.import.type'),
          cell: ({ line, place }) =>
            (line.use === 'trait' || line.use === 'property') && (
              <SelectField
                label={t('data.import.type.of', { column: line.column })}
                hideLabel
                value={line.type}
                onChange={(event) => change(place, { type: event.target.value })}
                options={TYPES.map((value) => ({ value, label: t(`data.import.type.${value || 'asIs'}`) }))}
              />
            ),
        },
      ]}
    />
  )
}

/** What an import did, and does. */
function Progress({ id }: { id: string }) {
  const t = useText()
  const params = { path: { id } }
  const asked = api.useQuery(
    'get',
    '/api/v1/uploads/{id}',
    { params },
    { refetchInterval: (query) => (query.state.data?.standing === 'running' ? 500 : false) },
  )
  const now = asked.data
  if (!now) return <Failure of={asked.error} />
  const share = now.total_bytes > 0 ? now.read_bytes / now.total_bytes : 0
  const tone = { waiting: 'plain', running: 'accent', done: 'good', failed: 'bad' } as const
  return (
    <Notice tone={tone[now.standing]}>
      <strong role="status">{t(`data.import.${now.standing}`)}</strong>
      {now.standing === 'running' && <Share of={share} />}
      {now.fault && <span>{now.fault}</span>}
      <Facts
        of={[
          [t('data.import.rows'), <Num key="rows" of={now.rows} />],
          [t('data.import.accepted'), <Num key="accepted" of={now.accepted} />],
          [t('data.import.refused'), <Num key="refused" of={now.refused} />],
          [t('data.import.suppressed'), <Num key="suppressed" of={now.suppressed} />],
        ]}
      />
    </Notice>
  )
}

function Mapped({ of, onEnd }: { of: Upload; onEnd: () => void }) {
  const t = useText()
  const say = useSay()
  const [mapping, setMapping] = useState<Mapping>(of.mapping)
  const [text, setText] = useState<string>()
  const [incremental, setIncremental] = useState(false)
  const [begun, setBegun] = useState(false)
  const { texts, bind } = useTexts({ source: '' })
  const sources = api.useQuery('get', '/api/v1/sources', {})
  const refresh = useRefresh('/api/v1/sources', '/api/v1/uploads/{id}')
  const add = api.useMutation('post', '/api/v1/sources')
  const attempt = api.useMutation('post', '/api/v1/uploads/{id}/try')
  const begin = api.useMutation('post', '/api/v1/uploads/{id}/import')
  const params = { path: { id: of.id } }
  const source = texts.source.trim()
  const body = { source, mapping, incremental }
  const start = async () => {
    if (!sources.data?.some((one) => one.name === source))
      await add.mutateAsync({ body: { name: source, kind: 'import' } })
    await begin.mutateAsync({ params, body })
    refresh()
    setBegun(true)
  }
  const drop = () => {
    void client.DELETE('/api/v1/uploads/{id}', { params })
    onEnd()
  }
  const event = typeof mapping.event === 'string' ? mapping.event : ''
  const read = (next: string) => {
    setText(next)
    try {
      setMapping(JSON.parse(next) as Mapping)
    } catch {
      // It is being typed.
    }
  }
  return (
    <>
      <Section title={of.file} actions={<Button onClick={drop}>{t('data.import.drop')}</Button>}>
        {of.problems.length > 0 && (
          <Notice tone="warn">
            {of.problems.map((one) => (
              <span key={one}>{one}</span>
            ))}
          </Notice>
        )}
        <Row>
          <TextField
            label={t('data.import.source')}
            hint={t('data.import.source.hint')}
            list="sources"
            required
            {...bind('source')}
          />
          <datalist id="sources">
            {sources.data?.map((one) => (
              <option key={one.name} value={one.name} />
            ))}
          </datalist>
          <SelectField
            label={t('data.import.kind')}
            value={mapping.kind ?? 'identify'}
            onChange={(change) => setMapping({ ...mapping, kind: change.target.value })}
            options={['identify', 'track', 'page', 'group', 'object', 'event'].map((value) => ({
              value,
              label: t(`data.import.kind.${value}`),
            }))}
          />
          {mapping.kind === 'track' && typeof mapping.event !== 'object' && (
            <TextField
              label={t('data.import.event')}
              value={event}
              onChange={(change) => setMapping({ ...mapping, event: change.target.value })}
            />
          )}
        </Row>
        {isSimple(mapping) && (
          <Columns
            of={of}
            mapping={mapping}
            set={(next) => {
              setText(undefined)
              setMapping(next)
            }}
          />
        )}
        <details open={!isSimple(mapping)}>
          <summary>{t('data.import.mapping')}</summary>
          <CodeEditor
            label={t('data.import.mapping')}
            language="json"
            value={text ?? JSON.stringify(mapping, null, 2)}
            onChange={read}
          />
        </details>
        <CheckField
          label={t('data.import.incremental')}
          hint={t('data.import.incremental.hint')}
          checked={incremental}
          onChange={(change) => setIncremental(change.target.checked)}
        />
        <p>
          <Button
            busy={attempt.isPending}
            disabled={source === ''}
            onClick={() => attempt.mutate({ params, body }, { onError: () => undefined })}
          >
            {t('data.import.try')}
          </Button>{' '}
          <Button
            look="main"
            busy={begin.isPending}
            disabled={source === ''}
            onClick={() => void start().catch(say.problem)}
          >
            {t('data.import.begin')}
          </Button>
        </p>
        <Failure of={attempt.error} />
      </Section>
      {attempt.data && (
        <Section title={t('data.import.first')}>
          {attempt.data.bad.map((one) => (
            <Notice key={one} tone="warn">
              {one}
            </Notice>
          ))}
          {attempt.data.events.length === 0 && <Empty title={t('data.import.first.none')} />}
          {attempt.data.events.map((one, place) => (
            <pre key={place}>{JSON.stringify(one, null, 2)}</pre>
          ))}
        </Section>
      )}
      {begun && <Progress id={of.id} />}
    </>
  )
}

export function Imports() {
  const t = useText()
  const [upload, setUpload] = useState<Upload>()
  return (
    <Frame>
      <Page title={t('data.imports')} lead={t('data.imports.lead')}>
        {upload ? (
          <Mapped key={upload.id} of={upload} onEnd={() => setUpload(undefined)} />
        ) : (
          <Choose onBrought={setUpload} />
        )}
      </Page>
    </Frame>
  )
}
