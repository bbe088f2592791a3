// Pictures of the main pages. Those of the documentation are made by it: ONEFOLD_PICTURES=../docs/pictures.
import { join } from 'node:path'
import { expect, test, visit } from './support'

const folder = process.env.ONEFOLD_PICTURES ?? 'test-results/pictures'

const PICTURES = [
  ['home', '/'],
  ['person', '/people/00111'],
  ['segment', '/segments/high-value/edit'],
  ['segments', '/segments/high-value'],
  ['destination', '/destinations/crm-webhook'],
  ['catalogue', '/data/catalogue'],
  ['policies', '/settings/policies'],
] as const

for (const [name, path] of PICTURES) {
  test(`a picture of ${name}`, async ({ page }) => {
    await visit(page, path)
    if (name === 'policies') {
      await page.getByRole('button', { name: 'Ask', exact: true }).click()
      await expect(page.getByRole('cell', { name: 'segments.edit', exact: true })).toBeVisible()
    }
    await expect(page.getByRole('status').filter({ hasText: 'Loading' })).toHaveCount(0)
    await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled' })
  })
}
