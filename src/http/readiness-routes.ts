import type { Hono } from 'hono'

import type { Readiness } from '../lib/readiness.ts'
import type { ServerEnv } from './serve.ts'

/** `/ready`: 200 while the program can do its work, else 503; for load balancers, and for whoever wonders. */
export function mountReadiness(app: Hono<ServerEnv>, readiness: Readiness): void {
  app.get('/ready', async (context) => {
    const report = await readiness.report()
    return context.json(report, report.status === 'ready' ? 200 : 503, { 'cache-control': 'no-store' })
  })
}
