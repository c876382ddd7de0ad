import type { Context, Hono } from 'hono'

import { clientAddressOf } from '../../http/client-address.ts'
import { html } from '../../http/html.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { AttemptLimit } from '../../lib/attempt-limit.ts'
import { networkOf } from '../../lib/networks.ts'
import { FreshCache } from '../services/fresh-cache.ts'
import type { ViewNeeds } from './views/owner.ts'
import { listMapPart, listMapParts, type MapKind, type MappedPage } from './views/sitemap.ts'

export interface CrawlerNeeds extends Pick<ViewNeeds, 'db' | 'now'> {
  baseUrl: string
}

/** What is of no use to search engines, costs much, or is for one person. */
const disallowed = [
  '/v2/',
  '/auth/',
  '/oauth/',
  '/settings',
  '/device',
  '/deletions/',
  '/stars',
  '/search',
  '/r/*/-/',
]
/** RFC 9309 §2.2.2: the longest match counts. Pictures of links are fetched by robots that read this file, too. */
const allowed = ['/r/*/-/card.png', '/r/*/-/feed.']
const freshSeconds = 3600
/** A part is 10,000 addresses read from the database. */
const partLimit = { countMax: 20, everySeconds: 10 }
const kinds: readonly MapKind[] = ['people', 'repositories']
const sitePaths = ['/', '/install', '/terms', '/privacy']

/** `/robots.txt`, and the map of all that everyone may see. Addresses are those of the settings, whatever name was asked for. */
export function mountCrawlerFiles(app: Hono<ServerEnv>, { baseUrl, db, now }: CrawlerNeeds): void {
  const link = (path: string) => new URL(path, baseUrl).href
  const indexes = new FreshCache<string>({ countMax: 1 })
  const limit = new AttemptLimit({ now, ...partLimit })
  const xml = {
    'content-type': 'application/xml; charset=utf-8',
    'cache-control': `public, max-age=${freshSeconds}`,
  }

  const robots = [
    'User-agent: *',
    ...disallowed.map((path) => `Disallow: ${path}`),
    ...allowed.map((path) => `Allow: ${path}`),
    '',
    `Sitemap: ${link('/sitemap.xml')}`,
    '',
  ].join('\n')
  app.get('/robots.txt', (context) =>
    context.body(robots, 200, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': `public, max-age=${freshSeconds}`,
    }),
  )

  app.get('/sitemap.xml', async (context) => {
    const nowMs = now().getTime()
    const index = await indexes.get('', nowMs, async () => ({
      value: await writeIndex(db, link),
      freshUntilMs: nowMs + freshSeconds * 1000,
    }))
    return context.body(index, 200, xml)
  })

  app.get('/sitemap/site.xml', async (context) => {
    const urls = await html`${sitePaths.map((path) => html`<url><loc>${link(path)}</loc></url>`)}`
    return context.body(`${declaration}<urlset ${namespace}>${urls.toString()}</urlset>`, 200, xml)
  })
  for (const kind of kinds) {
    app.get(`/sitemap/${kind}.xml`, (context) => {
      const waitSeconds = limit.take(networkOf(clientAddressOf(context)))
      if (waitSeconds !== undefined) return answerBusy(context, waitSeconds)
      const pages = listMapPart(db, kind, context.req.query('after') ?? '')
      return context.body(ReadableStream.from(writePart(pages, link)), 200, xml)
    })
  }
}

const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
const namespace = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'

async function writeIndex(db: CrawlerNeeds['db'], link: (path: string) => string): Promise<string> {
  const paths = ['/sitemap/site.xml']
  for (const kind of kinds) {
    for (const after of await listMapParts(db, kind)) {
      const query = after === '' ? '' : `?${new URLSearchParams({ after }).toString()}`
      paths.push(`/sitemap/${kind}.xml${query}`)
    }
  }
  const entries = await html`${paths.map((path) => html`<sitemap><loc>${link(path)}</loc></sitemap>`)}`
  return `${declaration}<sitemapindex ${namespace}>${entries.toString()}</sitemapindex>`
}

/** As bytes, a page of the database at a time: a part is never whole in memory. */
async function* writePart(
  pages: AsyncIterable<MappedPage[]>,
  link: (path: string) => string,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.from(`${declaration}<urlset ${namespace}>`)
  for await (const page of pages) {
    const urls =
      await html`${page.map(({ path, updatedAt }) => html`<url><loc>${link(path)}</loc><lastmod>${updatedAt}</lastmod></url>`)}`
    yield Buffer.from(urls.toString())
  }
  yield Buffer.from('</urlset>')
}

function answerBusy(context: Context<ServerEnv>, waitSeconds: number): Response {
  return context.text('too many parts of the map are asked for at once', 429, {
    'retry-after': String(waitSeconds),
  })
}
