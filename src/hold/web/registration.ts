import type { Context, Hono } from 'hono'

import { AtprotoError } from '../../atproto/errors.ts'
import { html, type Html } from '../../http/html.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { logger } from '../../lib/log.ts'
import { HoldError } from '../errors.ts'
import type { HoldContext } from '../context.ts'
import { registrationCallbackPath, registrationPath } from '../services/owner-registration.ts'

const log = logger('hold:registration')

type Needs = Pick<HoldContext, 'registration' | 'registrationClient'>

/** Where an owner goes to register the hold in his own data repo, and comes back; nowhere unless he is awaited. */
export function mountRegistration(app: Hono<ServerEnv>, { registration, registrationClient }: Needs): void {
  app.get(registrationPath, async (context) => {
    if (!registration.isWaiting) return context.notFound()
    try {
      return context.redirect((await registration.begin()).href, 303)
    } catch (error) {
      return failure(context, error)
    }
  })
  app.get(registrationCallbackPath, async (context) => {
    if (!registration.isWaiting) return context.notFound()
    try {
      await registration.finish(new URL(context.req.url).searchParams)
      return answer(
        context,
        200,
        'Registered',
        'The hold is registered in your data repo. This page can be closed.',
      )
    } catch (error) {
      return failure(context, error)
    }
  })
  app.get(`${registrationPath}/oauth/:document`, async (context) => {
    const { documents } = registration.isWaiting ? await registrationClient() : {}
    if (documents?.metadataPath === context.req.path) return context.json(documents.metadata)
    if (documents?.jwksPath === context.req.path) return context.json(documents.jwks)
    return context.notFound()
  })
}

function failure(context: Context<ServerEnv>, error: unknown): Response | Promise<Response> {
  const isExpected = error instanceof AtprotoError || error instanceof HoldError
  log.warn({ err: error, requestId: context.get('requestId') }, 'the hold was not registered')
  const why = isExpected ? error.message : 'an internal error; the log says more'
  const status = error instanceof HoldError ? 403 : 502
  return answer(
    context,
    status,
    'Not registered',
    `${why}.`,
    html`<p><a href="${registrationPath}">Try again</a></p>`,
  )
}

async function answer(
  context: Context<ServerEnv>,
  status: 200 | 403 | 502,
  title: string,
  text: string,
  more: Html | '' = '',
): Promise<Response> {
  context.header('content-security-policy', "default-src 'none'; base-uri 'none'; form-action 'none'")
  context.header('cache-control', 'no-store')
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          <p>${text}</p>
          ${more}
        </main>
      </body>
    </html>`
  return context.html(await page, status)
}
