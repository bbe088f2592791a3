// What a person may ask for: all that is held of them, and the page of their own choices.
import { useState } from 'react'
import { api, type Shape } from '~/api/client'
import { download } from '~/api/download'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Dialog, DialogFoot } from '~/ui/Dialog'
import { useSay } from '~/ui/toast'
import type { Person } from './Profile'

export function PrivacyActions({ person }: { person: Person }) {
  const t = useText()
  const say = useSay()
  const [links, setLinks] = useState<Shape<'LinksMade'>>()
  const make = api.useMutation('post', '/api/v1/privacy/links', { onSuccess: setLinks, onError: say.problem })
  return (
    <>
      <Button
        onClick={() =>
          void download('/api/v1/privacy/access', `${person.id}.zip`, { identifier: person.id }).catch(say.problem)
        }
      >
        {t('people.download')}
      </Button>
      <Button busy={make.isPending} onClick={() => make.mutate({ body: { identifier: person.id } })}>
        {t('people.preferences')}
      </Button>
      <Dialog title={t('people.preferences')} open={links !== undefined} onClose={() => setLinks(undefined)}>
        <p>{t('people.preferences.text')}</p>
        <p>
          <a href={links?.url} target="_blank" rel="noreferrer">
            {links?.url}
          </a>
        </p>
        <DialogFoot>
          <Button onClick={() => setLinks(undefined)}>{t('ui.close')}</Button>
        </DialogFoot>
      </Dialog>
    </>
  )
}
