import { Hono } from 'hono'

import { SettingsError } from '../lib/config.ts'
import { measureProcess, renderMetrics } from '../lib/metrics.ts'
import { parseListenAddress, serve, type RunningServer, type ServerEnv } from './serve.ts'

/**
 * Answers `/metrics` on a listener of its own, so that it is no accident of a proxy's rules whether strangers see it.
 * @throws {SettingsError} when it cannot listen there
 */
export async function serveMetrics(addr: string): Promise<RunningServer> {
  measureProcess()
  const app = new Hono<ServerEnv>()
  app.get('/metrics', async () => {
    const { contentType, text } = await renderMetrics()
    return new Response(text, { headers: { 'content-type': contentType } })
  })
  app.notFound((context) => context.text('metrics are at /metrics\n', 404))
  try {
    return await serve(app, { ...parseListenAddress(addr), drainTimeoutMs: 1000 })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new SettingsError([`metrics.addr: cannot listen on ${addr} (${reason}); give another address, or set metrics.enabled to false`]) // prettier-ignore
  }
}
