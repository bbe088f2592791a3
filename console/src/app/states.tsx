// What stands where a page is not.
import { Link } from '@tanstack/react-router'
import { useText } from '~/i18n'
import { buttonClass } from '~/ui/Button'
import { Empty, Failure, Page } from '~/ui/Page'

export function NotFound() {
  const t = useText()
  const home = (
    <Link to="/" className={buttonClass('main')}>
      {t('app.area.home')}
    </Link>
  )
  return (
    <Page title={t('app.notFound.title')}>
      <Empty title={t('app.notFound.title')} action={home}>
        {t('app.notFound.text')}
      </Empty>
    </Page>
  )
}

/** A page that broke: a newer build was put in place meanwhile, or it is our fault. */
export function PageFailed({ error }: { error: unknown }) {
  const t = useText()
  return (
    <Page title={t('app.broken.title')}>
      <Failure of={error} retry={() => window.location.reload()} />
    </Page>
  )
}
