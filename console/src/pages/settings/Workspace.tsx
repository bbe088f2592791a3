// The workspace: its time zone, who is one person, which value counts, what is collected, and what takes a second person.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { useRefresh } from '~/api/refresh'
import { May, useSession } from '~/app/session'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { FormDialog } from '~/ui/Dialog'
import { Document } from '~/ui/Document'
import { Form, SelectField, TextField, useTexts } from '~/ui/Field'
import { Await, Card, Facts, Failure, Num, Page, Section } from '~/ui/Page'
import { useSay } from '~/ui/toast'
import { Frame } from './Settings'

type Settings = Shape<'Settings'>

const ZONES = Intl.supportedValuesOf('timeZone')

function Basics({ of }: { of: Settings }) {
  const t = useText()
  const say = useSay()
  const { can } = useSession()
  const refresh = useRefresh('/api/v1/settings')
  const { texts, bind } = useTexts({ zone: of.time_zone ?? 'UTC', unstated: of.consent_default ?? 'deny' })
  const save = api.useMutation('patch', '/api/v1/settings', {
    onSuccess: () => {
      say(t('ui.saved'))
      refresh()
    },
  })
  // What people are asked for is not for whoever may set the time zone: only what is changed is set.
  const changed = {
    ...(texts.zone !== of.time_zone && { time_zone: texts.zone }),
    ...(texts.unstated !== of.consent_default && { consent_default: texts.unstated }),
  }
  const zones = ZONES.includes(texts.zone) ? ZONES : [texts.zone, ...ZONES]
  return (
    <Section title={t('settings.basics')}>
      <Card>
        <Form onSubmit={() => save.mutate({ body: changed })}>
          <SelectField
            label={t('settings.zone')}
            hint={t('settings.zone.hint')}
            options={zones.map((value) => ({ value, label: value }))}
            {...bind('zone')}
          />
          <SelectField
            label={t('settings.unstated')}
            hint={t('settings.unstated.hint')}
            options={[
              { value: 'deny', label: t('settings.unstated.deny') },
              { value: 'allow', label: t('settings.unstated.allow') },
            ]}
            {...bind('unstated')}
          />
          <Failure of={save.error} />
          {can('settings.edit') && (
            <p>
              <Button type="submit" look="main" busy={save.isPending} disabled={Object.keys(changed).length === 0}>
                {t('ui.save')}
              </Button>
            </p>
          )}
        </Form>
      </Card>
    </Section>
  )
}

function RulesTried({ of }: { of: Shape<'RulesTried'> }) {
  const t = useText()
  return (
    <Facts
      of={[
        [t('settings.rules.now'), <Num key="now" of={of.profiles_now} />],
        [t('settings.rules.then'), <Num key="then" of={of.profiles_then} />],
        [t('settings.rules.merged'), <Num key="merged" of={of.merged} />],
        [t('settings.rules.parted'), <Num key="parted" of={of.parted} />],
        [t('settings.rules.refused'), <Num key="refused" of={of.refused} />],
        [t('settings.rules.blocked'), <Num key="blocked" of={of.blocked} />],
        [t('settings.rules.largest'), of.largest.join(' → ')],
        [t('settings.rules.examples'), of.examples.flatMap((one) => one.now).join(', ') || '–'],
      ]}
    />
  )
}

/** A setting of governance: what is collected, what takes a second person. */
function Governed({ name }: { name: 'collection' | 'approvals' | 'forms' }) {
  const t = useText()
  const { can } = useSession()
  const params = { path: { name } }
  const asked = api.useQuery('get', '/api/v1/governance/{name}', { params })
  const refresh = useRefresh('/api/v1/governance/{name}')
  const save = api.useMutation('put', '/api/v1/governance/{name}', { onSuccess: refresh })
  return (
    <Await of={asked}>
      {(value) => (
        <Document
          label={t(`settings.governed.${name}`)}
          hint={<p>{t(`settings.governed.${name}.hint`)}</p>}
          value={value}
          canSave={can('governance.edit')}
          onSave={(body) => save.mutateAsync({ params, body })}
        />
      )}
    </Await>
  )
}

function NewWorkspace({ onClose }: { onClose: () => void }) {
  const t = useText()
  const say = useSay()
  const { enter } = useSession()
  const { texts, bind } = useTexts({ name: '' })
  const make = api.useMutation('post', '/api/v1/workspaces', {
    onSuccess: ({ name }) => {
      say(t('settings.workspace.made', { name }))
      enter(name)
    },
  })
  return (
    <FormDialog
      title={t('settings.workspace.make')}
      action={t('settings.workspace.make')}
      incomplete={texts.name.trim() === ''}
      onSubmit={() => make.mutateAsync({ body: { name: texts.name.trim() } })}
      onClose={onClose}
    >
      <TextField label={t('settings.name')} required {...bind('name')} />
    </FormDialog>
  )
}

export function Workspace() {
  const t = useText()
  const { can, workspace } = useSession()
  const [making, setMaking] = useState(false)
  const asked = api.useQuery('get', '/api/v1/settings', {})
  const refresh = useRefresh('/api/v1/settings')
  const change = api.useMutation('patch', '/api/v1/settings', { onSuccess: refresh })
  const attempt = api.useMutation('post', '/api/v1/settings/try')
  return (
    <Frame>
      <Page
        title={t('settings.workspace.of', { name: workspace })}
        lead={t('settings.workspace.lead')}
        actions={
          <May do="workspaces.edit">
            <Button onClick={() => setMaking(true)}>{t('settings.workspace.make')}</Button>
          </May>
        }
      >
        <Await of={asked}>
          {(settings) => (
            <>
              <Basics of={settings} />
              <Document
                label={t('settings.rules')}
                hint={<p>{t('settings.rules.hint')}</p>}
                value={settings.identity_rules}
                canSave={can('settings.edit')}
                onSave={(identity_rules) => change.mutateAsync({ body: { identity_rules } })}
                onTry={async (identity_rules) => (
                  <RulesTried of={await attempt.mutateAsync({ body: { identity_rules } })} />
                )}
              />
              <Document
                label={t('settings.survivorship')}
                hint={<p>{t('settings.survivorship.hint')}</p>}
                value={settings.survivorship}
                canSave={can('settings.edit')}
                onSave={(survivorship) => change.mutateAsync({ body: { survivorship } })}
              />
            </>
          )}
        </Await>
        {can('governance.view') && (
          <>
            <Governed name="collection" />
            <Governed name="approvals" />
            <Governed name="forms" />
          </>
        )}
        {making && <NewWorkspace onClose={() => setMaking(false)} />}
      </Page>
    </Frame>
  )
}
