import type { Context } from 'hono'

import type { Html } from '../../http/html.ts'
import type { ServerEnv } from '../../http/serve.ts'

/** Everything from our own address, nothing inline, no frames, no scripts at all. */
const policy = ["default-src 'none'", "style-src 'self'", "img-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"] // prettier-ignore

/** A page; `formAction` is where its forms may lead, redirects included. */
export function answerPage(
  context: Context<ServerEnv>,
  page: Html,
  options: {
    status?: 200 | 400 | 403 | 404 | 413 | 422 | 429 | 500 | 502
    formAction?: string
    cacheControl: string
  },
): Response | Promise<Response> {
  const { status = 200, formAction = "'none'", cacheControl } = options
  return context.html(page, status, {
    'content-security-policy': [...policy, `form-action ${formAction}`].join('; '),
    'cache-control': cacheControl,
    'cross-origin-opener-policy': 'same-origin',
  })
}
