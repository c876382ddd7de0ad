import type { Context } from 'hono'

import type { Html } from '../../http/html.ts'
import type { ServerEnv } from '../../http/serve.ts'

export type PageStatus = 200 | 400 | 403 | 404 | 409 | 413 | 422 | 429 | 500 | 503

interface AnswerOptions {
  status?: PageStatus
  /** Where forms of the page may lead, as the content security policy has it: `'self'`, or nowhere. */
  formAction?: string
  /** For a page that shows somebody what is theirs: kept in no cache. */
  isPrivate?: boolean
  /** Whether a script of the page listens to events of ours. */
  isLive?: boolean
}

/**
 * Answers with a page. Everything comes from our own address, nothing is inline, no frames: a stranger's text finds
 * nothing to work with. Pages follow the index, so they are asked for anew each time.
 */
export function answerPage(
  context: Context<ServerEnv>,
  page: Html,
  { status = 200, formAction = "'self'", isPrivate = false, isLive = false }: AnswerOptions = {},
): Response | Promise<Response> {
  return context.html(page, status, {
    'content-security-policy': [
      "default-src 'none'",
      "style-src 'self'",
      "script-src 'self'",
      "img-src 'self'",
      ...(isLive ? ["connect-src 'self'"] : []),
      "base-uri 'none'",
      `form-action ${formAction}`,
      "frame-ancestors 'none'",
    ].join('; '),
    'cache-control': isPrivate ? 'no-store' : noCache(context),
    // No window that opened this one, or was opened by it, reaches it.
    'cross-origin-opener-policy': 'same-origin',
    vary: 'Cookie',
  })
}

/** A page for a browser with cookies may name its account, or set a cookie: no cache but the browser's own keeps it. */
function noCache(context: Context<ServerEnv>): string {
  return context.req.header('cookie') === undefined ? 'no-cache' : 'private, no-cache'
}

/** After a form: the page that shows what came of it, by GET, so that reloading repeats nothing. */
export function seeOther(context: Context<ServerEnv>, path: string): Response {
  context.header('cache-control', 'no-store')
  return context.redirect(path, 303)
}
