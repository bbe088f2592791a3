// The part of ECharts that is used.
import { BarChart, LineChart } from 'echarts/charts'
import { AriaComponent, GridComponent, LegendComponent, TooltipComponent } from 'echarts/components'
import * as echarts from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import type { Series } from './Chart'

echarts.use([AriaComponent, BarChart, GridComponent, LegendComponent, LineChart, SVGRenderer, TooltipComponent])

type Drawing = { kind: 'line' | 'bar'; series: readonly Series[]; dark: boolean }

/** Draws; what it gives takes the drawing away. */
export function draw(element: HTMLElement, { kind, series, dark }: Drawing): () => void {
  const chart = echarts.init(element, dark ? 'dark' : null, { renderer: 'svg' })
  chart.setOption({
    backgroundColor: 'transparent',
    animation: false,
    aria: { enabled: false },
    grid: { left: 8, right: 8, top: series.length > 1 ? 32 : 12, bottom: 4, containLabel: true },
    tooltip: { trigger: 'axis' },
    ...(series.length > 1 ? { legend: { top: 0 } } : {}),
    xAxis: { type: 'category', data: [...new Set(series.flatMap((one) => one.points.map(([name]) => name)))] },
    yAxis: { type: 'value', minInterval: 1 },
    series: series.map((one) => ({
      name: one.name,
      type: kind,
      showSymbol: one.points.length < 40,
      data: one.points.map(([name, value]) => [name, value]),
    })),
  })
  const watch = new ResizeObserver(() => chart.resize())
  watch.observe(element)
  return () => {
    watch.disconnect()
    chart.dispose()
  }
}
