import type { Context } from 'hono'

import type { ServerEnv } from '../../../http/serve.ts'
import { sha256Hex } from '../../../lib/ids.ts'
import type { FeedView } from '../views/feed.ts'
import { atomFeed } from './atom.ts'
import { jsonFeed } from './json-feed.ts'

/** The two forms of a feed, by the name that addresses end in. */
const forms = {
  'feed.atom': { contentType: 'application/atom+xml; charset=utf-8', write: atomFeed },
  'feed.json': { contentType: 'application/feed+json; charset=utf-8', write: jsonFeed },
} as const

/** What the address of a feed ends in. */
export type FeedForm = keyof typeof forms

/** How long a reader needs not ask again. */
const freshSeconds = 300

/**
 * Answers with a feed in one of its forms; `path` is its address here. Readers that come again are told when nothing
 * has changed (RFC 9110 §13).
 */
export async function answerFeed(
  context: Context<ServerEnv>,
  {
    form,
    view,
    path,
    baseUrl,
  }: { form: FeedForm; view: FeedView | undefined; path: string; baseUrl: string },
): Promise<Response> {
  if (view === undefined) return context.text('there is no such feed', 404)
  const { contentType, write } = forms[form]
  const body = await write(view, { address: new URL(path, baseUrl).href, baseUrl })
  const etag = `"${sha256Hex(body).slice(0, 32)}"`
  const headers = {
    etag,
    'last-modified': view.updatedAt.toUTCString(),
    'cache-control': `public, max-age=${freshSeconds}`,
    // Readers in browsers fetch from pages of their own, and there is nothing here for one person.
    'access-control-allow-origin': '*',
  }
  if (isKnown(context, etag, view.updatedAt)) return context.body(null, 304, headers)
  return context.body(body, 200, { ...headers, 'content-type': contentType })
}

/** `If-None-Match` decides where it is sent; what was deleted since makes no newer date. */
function isKnown(context: Context<ServerEnv>, etag: string, updatedAt: Date): boolean {
  const known = context.req.header('if-none-match')
  if (known !== undefined) {
    return known.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')))
  }
  const since = Date.parse(context.req.header('if-modified-since') ?? '')
  return Math.floor(updatedAt.getTime() / 1000) * 1000 <= since
}
