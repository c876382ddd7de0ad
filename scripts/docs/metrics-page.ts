import '../../src/appview/metrics.ts'
import '../../src/atproto/identity.ts'
import '../../src/atproto/observed-fetch.ts'
import '../../src/hold/metrics.ts'
import '../../src/http/request-metrics.ts'
import '../../src/lib/database-metrics.ts'
import '../../src/lib/log-shipper.ts'
import { describeMetrics } from '../../src/lib/metrics.ts'

const intro = `# Metrics

Generated from the declarations by \`npm run docs\`. What to make of them: [monitoring](operating/monitoring.md).

A histogram \`x\` is scraped as \`x_bucket\`, \`x_sum\` and \`x_count\`. Labels have few values, never a name. Beside these there are the metrics
of the process itself (\`process_…\`, \`nodejs_…\`).
`

/** `docs/METRICS.md`. */
export function metricsPage(): string {
  const rows = describeMetrics().map(({ name, kind, labels, help }) => {
    const named = labels.map((label) => `\`${label}\``).join(', ')
    return `| \`${name}\` | ${kind} | ${named} | ${help} |`
  })
  return [intro, '| metric | kind | labels | what it says |', '|---|---|---|---|', ...rows, ''].join('\n')
}
