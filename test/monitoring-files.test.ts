import { readFileSync } from 'node:fs'

import { expect, test } from 'vitest'
import { parse } from 'yaml'

import '../src/appview/metrics.ts'
import '../src/atproto/identity.ts'
import '../src/atproto/observed-fetch.ts'
import '../src/hold/metrics.ts'
import '../src/http/request-metrics.ts'
import '../src/lib/database-metrics.ts'
import '../src/lib/log-shipper.ts'
import { describeMetrics, measureProcess, renderMetrics } from '../src/lib/metrics.ts'
import { parseMetrics } from './network/metrics.ts'

/** Goal: no graph and no alert is about a metric or a label that is not there. Method: names are looked up in `/metrics`. */

interface Panel {
  id: number
  title: string
  type: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { refId: string; expr: string }[]
}

const dashboard = JSON.parse(readFileSync('deploy/grafana/atcr.json', 'utf8')) as { panels: Panel[] }
const alerts = parse(readFileSync('deploy/prometheus-alerts.yml', 'utf8')) as {
  groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[]
}
const rules = alerts.groups.flatMap((group) => group.rules)

const expressions = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
]

/** What Prometheus makes of a metric, by the kind that it is. */
function scrapedNames(families: ReadonlyMap<string, string>): Set<string> {
  const names = [...families].flatMap(([name, kind]) =>
    kind === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  )
  return new Set([...names, 'up'])
}

/** Names of metrics in an expression: words that are neither functions, labels, nor inside of quotes. */
function metricsIn(expression: string): string[] {
  const bare = expression
    .replaceAll(/"[^"]*"/g, '""')
    .replaceAll(/\bby \([^)]*\)/g, '')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\[[^\]]*\]/g, '')
  return [...bare.matchAll(/\b[a-zA-Z_]\w*\b(?!\s*\()/g)]
    .map(([name]) => name)
    .filter((name) => !words.has(name))
}

/** Of PromQL; `by` may stand between a function and its argument. */
const words = new Set(['by', 'or', 'and', 'unless', 'sum', 'max', 'min', 'e9'])

/** Labels that an expression asks for, of which metric. */
function labelsIn(expression: string): [metric: string, label: string][] {
  return [...expression.matchAll(/\b(atcr_\w+)\{([^}]*)\}/g)].flatMap(([, metric = '', inner = '']) =>
    [...inner.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(
      ([, label = '']) => [metric, label] as [string, string],
    ),
  )
}

/** Labels that Prometheus adds. */
const added = new Set(['instance', 'job'])

async function unknownIn(expression: string): Promise<string[]> {
  measureProcess()
  const { families } = parseMetrics((await renderMetrics()).text)
  const known = scrapedNames(families)
  const labels = new Map(describeMetrics().map((metric) => [metric.name, new Set(metric.labels)]))
  return [
    ...metricsIn(expression).filter((name) => !known.has(name)),
    ...labelsIn(expression)
      .filter(
        ([metric, label]) =>
          !added.has(label) && !labels.get(metric.replace(/_(?:bucket|sum|count)$/, ''))?.has(label),
      ) // prettier-ignore
      .map(([metric, label]) => `${metric}{${label}}`),
  ]
}

test('every graph and every alert is about metrics that are there', async () => {
  expect(expressions.length).toBeGreaterThan(50)
  for (const [title, expression] of expressions) {
    expect(metricsIn(expression).length, title).toBeGreaterThan(0)
    expect(await unknownIn(expression), title).toEqual([])
  }
})

test('one that is not there is seen', async () => {
  expect(await unknownIn('sum by (mode) (rate(atcr_hold_uploads{mode="x"}[5m]))')).toEqual(['atcr_hold_uploads', 'atcr_hold_uploads{mode}']) // prettier-ignore
  expect(await unknownIn('rate(atcr_hold_uploads_total{way="x"}[5m])')).toEqual([
    'atcr_hold_uploads_total{way}',
  ])
  expect(await unknownIn('atcr_http_request_duration_seconds')).toHaveLength(1)
})

test('every metric of ours is graphed', () => {
  const graphed = new Set(expressions.flatMap(([, expression]) => metricsIn(expression)))
  const isGraphed = (name: string) => [name, `${name}_count`, `${name}_bucket`].some((it) => graphed.has(it))
  expect(describeMetrics().map(({ name }) => name).filter((name) => !isGraphed(name))).toEqual([]) // prettier-ignore
})

test('panels have ids of their own, and none lies on another', () => {
  const { panels } = dashboard
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
  )
  expect(new Set(cells).size).toBe(cells.length)
  expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true)
  for (const { title, type, targets = [] } of panels) {
    expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
    expect(targets.length > 0, title).toBe(type !== 'row')
  }
})

test('alerts say what to do, and the example of a Prometheus knows them', () => {
  for (const { alert, annotations } of rules) {
    expect(annotations['summary'], alert).toMatch(/\w/)
    expect(annotations['action'], alert).toMatch(/\w/)
  }
  const prometheus = parse(readFileSync('deploy/prometheus.yml', 'utf8')) as { rule_files: string[] }
  expect(prometheus.rule_files).toEqual(['prometheus-alerts.yml'])
})
