// What a person may ask for: all that is held of them, and the page of their own choices.
import { useState } from 'react'
import { api, headers, type Shape } from '~/api/client'
import { useText } from '~/i18n'
import { Button } from '~/ui/Button'
import { Dialog, DialogFoot } from '~/ui/Dialog'
import { useSay } from '~/ui/toast'
import type { Person } from './Profile'

/** Asks for everything that is held of a person, and gives it to the browser as a file. */
async function download(identifier: string): Promise<void> {
  const answer = await fetch('/api/v1/privacy/access', {
    method: 'POST',
    headers: { ...headers(), 'content-type': 'application/json' },
    body: JSON.stringify({ identifier }),
  })
  if (!answer.ok) throw await answer.json()
  const link = document.createElement('a')
  link.href = URL.createObjectURL(await answer.blob())
  link.download = `${identifier}.zip`
  link.click()
  URL.revokeObjectURL(link.href)
}

export function PrivacyActions({ person }: { person: Person }) {
  const t = useText()
  const say = useSay()
  const [links, setLinks] = useState<Shape<'LinksMade'>>()
  const make = api.useMutation('post', '/api/v1/privacy/links', { onSuccess: setLinks, onError: say.problem })
  return (
    <>
      <Button onClick={() => void download(person.id).catch(say.problem)}>{t('people.download')}</Button>
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
