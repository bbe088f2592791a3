// Charts by ECharts, fetched when the first one is shown; each has a description, and its numbers as a table.
import { useEffect, useRef } from 'react'
import { useTheme } from '~/app/theme'
import { useText } from '~/i18n'

export type Series = { name: string; points: readonly (readonly [string, number])[] }

type Props = { label: string; kind: 'line' | 'bar'; series: readonly Series[]; height?: number }

const engine = () => import('./echarts')

export function Chart({ label, kind, series, height = 240 }: Props) {
  const t = useText()
  const { theme } = useTheme()
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = place.current
    if (!element) return
    let end = () => {}
    let gone = false
    void engine().then(({ draw }) => {
      if (!gone) end = draw(element, { kind, series, dark: theme === 'dark' })
    })
    return () => {
      gone = true
      end()
    }
  }, [kind, series, theme])
  const names = [...new Set(series.flatMap((one) => one.points.map(([name]) => name)))]
  return (
    <figure style={{ margin: 0 }}>
      <div ref={place} role="img" aria-label={label} style={{ height }} />
      <details>
        <summary>{t('ui.chart.numbers')}</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">{label}</th>
              {series.map((one) => (
                <th key={one.name} scope="col">
                  {one.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {names.map((name) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {series.map((one) => (
                  <td key={one.name}>{one.points.find(([other]) => other === name)?.[1] ?? ''}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  )
}
