import type { Context, Hono } from 'hono'

import { clientAddressOf } from '../../http/client-address.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { ByteLimitError, collectBytes } from '../../lib/streams.ts'
import type {
  DeviceCodeAnswer,
  DeviceErrorAnswer,
  DeviceErrorCode,
  DeviceTokenAnswer,
} from '../../protocol/device/messages.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import { deviceGrantSeconds, pollSecondsDefault } from '../services/device-grants.ts'

const bodyBytesMax = 8 * 1024
const deviceCodeLengthMax = 100

type Needs = Pick<AppContext, 'deviceGrants' | 'oauthLogins' | 'log'>

/** A request that is answered without a service. */
class BadRequest extends Error {
  readonly status: 400 | 413 | 415

  constructor(message: string, status: 400 | 413 | 415 = 400) {
    super(message)
    this.status = status
  }
}

/** What programs call to pair a machine with an account (RFC 8628 §3.1 to §3.5). People approve under `/device`. */
export function mountDeviceRoutes(app: Hono<ServerEnv>, needs: Needs): void {
  // Pages are where people sign in, whatever name the caller used for us.
  const pageUrl = new URL('/device', needs.oauthLogins.origin)

  app.post('/auth/device/code', (c) =>
    answer(c, needs, async (parameters) => {
      const { deviceCode, userCode } = await needs.deviceGrants.create({
        name: parameters.get('device_name') ?? '',
        userAgent: c.req.header('user-agent') ?? '',
        address: clientAddressOf(c),
      })
      const completeUrl = new URL(`?${new URLSearchParams({ code: userCode }).toString()}`, pageUrl)
      return json({
        device_code: deviceCode,
        user_code: userCode,
        verification_uri: pageUrl.href,
        verification_uri_complete: completeUrl.href,
        expires_in: deviceGrantSeconds,
        interval: pollSecondsDefault,
      } satisfies DeviceCodeAnswer)
    }),
  )

  app.post('/auth/device/token', (c) =>
    answer(c, needs, async (parameters) => {
      const deviceCode = parameters.get('device_code') ?? ''
      if (deviceCode === '' || deviceCode.length > deviceCodeLengthMax)
        throw new BadRequest('device_code is missing or too long')
      const redemption = await needs.deviceGrants.redeem(deviceCode)
      if ('error' in redemption) return failure(redemption.error, redemption.description)
      const { secret, did, handle } = redemption
      return json({ device_secret: secret, handle: handle ?? did, did } satisfies DeviceTokenAnswer)
    }),
  )
}

async function answer(
  c: Context<ServerEnv>,
  { log }: Needs,
  handle: (parameters: ReadonlyMap<string, string>) => Promise<Response>,
): Promise<Response> {
  try {
    return await handle(await readParameters(c))
  } catch (error) {
    if (error instanceof BadRequest)
      return failure('invalid_request', error.message, { status: error.status })
    if (error instanceof AppViewError && error.code === 'rate_limited')
      return failure('slow_down', error.message, {
        status: 429,
        headers: { 'retry-after': String(error.retryAfterSeconds ?? 60) },
      })
    const requestId = c.get('requestId')
    log.error({ err: error, requestId }, 'a device request failed')
    return json({ error: 'server_error', error_description: `internal error (request ${requestId})` }, { status: 500 }) // prettier-ignore
  }
}

/** The parameters that are text, of a form or a JSON object; others are ignored. An empty body has none. */
async function readParameters(c: Context<ServerEnv>): Promise<ReadonlyMap<string, string>> {
  const [mediaType = ''] = (c.req.header('content-type') ?? '').split(';', 1)
  const bytes = await collectBytes(c.env.incoming, bodyBytesMax).catch((error: unknown) => {
    if (error instanceof ByteLimitError)
      throw new BadRequest(`a request has at most ${bodyBytesMax} bytes`, 413)
    throw error
  })
  if (bytes.byteLength === 0) return new Map()
  const text = Buffer.from(bytes).toString('utf8')
  switch (mediaType.trim().toLowerCase()) {
    case 'application/json':
      return fromJson(text)
    case 'application/x-www-form-urlencoded':
      return fromForm(text)
    default:
      throw new BadRequest('send application/json or application/x-www-form-urlencoded', 415)
  }
}

function fromJson(text: string): Map<string, string> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new BadRequest('the body is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new BadRequest('the body is not a JSON object')
  return new Map(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}

/** A parameter that comes twice is refused (RFC 6749 §3.1). */
function fromForm(text: string): Map<string, string> {
  const parameters = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(text)) {
    if (parameters.has(name)) throw new BadRequest(`${JSON.stringify(name.slice(0, 40))} was sent twice`)
    parameters.set(name, value)
  }
  return parameters
}

function failure(
  error: DeviceErrorCode,
  description: string,
  { status = 400, headers = {} }: { status?: number; headers?: Record<string, string> } = {},
): Response {
  return json({ error, error_description: description } satisfies DeviceErrorAnswer, { status, headers })
}

function json(
  body: object,
  { status = 200, headers = {} }: { status?: number; headers?: Record<string, string> } = {},
): Response {
  return Response.json(body, {
    status,
    headers: { 'cache-control': 'no-store', pragma: 'no-cache', ...headers },
  })
}
