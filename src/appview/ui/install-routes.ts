import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context, Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { formatSums, type HelperBuild, type HelperBuilds } from './helper-builds.ts'

const scripts = join(import.meta.dirname, 'install')

/**
 * Builds of the credential helper, and the scripts that install them: `/install.sh`, `/install.ps1`, `/install/<file>`. The
 * scripts carry the checksums that are known here, so that whoever serves the files cannot change them.
 */
export function mountInstall(
  app: Hono<ServerEnv>,
  { config, builds }: Pick<AppContext, 'config'> & { builds: HelperBuilds },
): void {
  const { download_base: elsewhere } = config.credential_helper
  const registry = new URL(config.server.base_url).origin
  const base = elsewhere?.replace(/\/+$/, '')

  const serveScript = (file: string, quote: (text: string) => string) => {
    const template = readFileSync(join(scripts, file), 'utf8')
    app.get(`/${file}`, async (c) => {
      const list = await builds.list()
      const downloads = base ?? (list.length > 0 ? `${registry}/install` : '')
      const values = {
        '@REGISTRY@': registry,
        '@DOWNLOADS@': downloads,
        '@SUMS@': formatSums(list).trimEnd(),
      }
      const script = Object.entries(values).reduce(
        (text, [name, value]) => text.replace(name, () => quote(value)),
        template,
      )
      return c.body(script, 200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache' })
    })
  }
  serveScript('install.sh', (text) => text.replaceAll("'", String.raw`'\''`))
  serveScript('install.ps1', (text) => text.replaceAll("'", "''"))

  app.get('/install/:file', async (c) => {
    const name = c.req.param('file')
    const list = await builds.list()
    if (name === 'SHA256SUMS' && list.length > 0) {
      return c.body(formatSums(list), 200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache' }) // prettier-ignore
    }
    if (base !== undefined && (name === 'SHA256SUMS' || /^docker-credential-atcr-[a-z0-9.-]+$/.test(name))) {
      return c.redirect(`${base}/${name}`, 302)
    }
    const build = list.find((it) => it.name === name)
    if (build === undefined) return c.text('there is no such build of the credential helper here', 404)
    return serveBuild(c, builds, build)
  })
}

/** A hundred megabytes and more, piped from the disk; a client that goes away ends it. */
async function serveBuild(
  c: Context<ServerEnv>,
  builds: HelperBuilds,
  build: HelperBuild,
): Promise<Response> {
  const etag = `"${build.sha256}"`
  const headers = { etag, 'cache-control': 'no-cache' }
  if (c.req.header('if-none-match')?.includes(etag)) return c.body(null, 304, headers)
  await using file = await builds.open(build)
  if (file === undefined) return c.text('this build is not here', 404)
  const { size } = await file.stat()
  const { incoming, outgoing } = c.env
  outgoing.writeHead(200, {
    ...headers,
    'content-type': build.name.endsWith('.gz') ? 'application/gzip' : 'application/octet-stream',
    'content-length': size,
    'x-content-type-options': 'nosniff',
  })
  if (incoming.method === 'HEAD') outgoing.end()
  else await pipeline(file.createReadStream({ autoClose: false }), outgoing).catch(() => outgoing.destroy())
  return RESPONSE_ALREADY_SENT
}
