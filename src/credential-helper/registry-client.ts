import type { DeviceCodeAnswer, DeviceErrorAnswer, DeviceTokenAnswer } from '../protocol/device/messages.ts'
import { version } from '../lib/version.ts'
import { isObject } from './credential-format.ts'
import { isLoopback, type Registry } from './server-url.ts'

/** A registry did not do its part; the message is for a person. */
export class RegistryError extends Error {
  override name = 'RegistryError'
  /** Whether it may do so a little later. */
  readonly isPassing: boolean

  constructor(message: string, { isPassing = false, cause }: { isPassing?: boolean; cause?: unknown } = {}) {
    super(message, { cause })
    this.isPassing = isPassing
  }
}

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

const timeoutMs = 15_000
const answerBytesMax = 64 * 1024

/** What this program asks of a registry. Follows no redirect, and speaks plain HTTP with this machine only. */
export class RegistryClient {
  readonly #fetch: Fetch
  readonly #registry: Registry

  /** @throws {RegistryError} when the registry is asked for in plain HTTP and is not on this machine */
  constructor(fetch: Fetch, registry: Registry) {
    this.#fetch = fetch
    this.#registry = registry
    const { protocol, hostname } = new URL(registry.origin)
    if (protocol !== 'https:' && !isLoopback(hostname)) {
      throw new RegistryError(
        `${registry.origin} would send secrets over the network unencrypted: use https://`,
      )
    }
  }

  /** Begins a pairing (RFC 8628 §3.1). */
  async createDeviceGrant(deviceName: string): Promise<DeviceCodeAnswer> {
    const { status, body } = await this.#post('/auth/device/code', { device_name: deviceName })
    if (status === 200) return parseDeviceCode(body, this.#registry)
    if (status === 404) throw new RegistryError(`${this.#registry.host} has no sign-in for devices: is it an ATCR registry?`) // prettier-ignore
    throw this.#refusal(status, body)
  }

  /** Asks once whether the person has said yes (RFC 8628 §3.4). */
  async redeemDeviceGrant(deviceCode: string): Promise<DeviceTokenAnswer | DeviceErrorAnswer> {
    const { status, body } = await this.#post('/auth/device/token', { device_code: deviceCode })
    if (status === 200) return parseDeviceToken(body)
    if (isDeviceError(body)) return { error: body.error, error_description: said(body) }
    throw this.#refusal(status, body)
  }

  /** Whether the registry takes a name and its secret. */
  async isAccepted(name: string, secret: string): Promise<boolean> {
    const basic = Buffer.from(`${name}:${secret}`).toString('base64')
    const { host } = this.#registry
    const query = new URLSearchParams({ service: host, account: name }).toString()
    const { status, body } = await this.#ask(`/auth/token?${query}`, {
      headers: { authorization: `Basic ${basic}` },
    })
    if (status === 200) return true
    if (status === 401) return false
    throw this.#refusal(status, body)
  }

  #post(path: string, body: object): Promise<Answer> {
    const headers = { 'content-type': 'application/json', accept: 'application/json' }
    return this.#ask(path, { method: 'POST', headers, body: JSON.stringify(body) })
  }

  async #ask(
    path: string,
    init: Omit<RequestInit, 'headers'> & { headers: Record<string, string> },
  ): Promise<Answer> {
    const { origin, host } = this.#registry
    const signal = AbortSignal.timeout(timeoutMs)
    const headers = { ...init.headers, 'user-agent': `docker-credential-atcr/${version} (${process.platform}-${process.arch})` } // prettier-ignore
    try {
      const response = await this.#fetch(`${origin}${path}`, { ...init, headers, signal, redirect: 'manual' })
      const location = response.headers.get('location')
      if (response.status >= 300 && response.status < 400) {
        await response.body?.cancel()
        throw new RegistryError(`${host} sends elsewhere${location === null ? '' : `, to ${printable(location)}`}: name that registry itself`) // prettier-ignore
      }
      return { status: response.status, body: parseBody(await readText(response)) }
    } catch (error) {
      if (error instanceof RegistryError) throw error
      throw new RegistryError(`${host} does not answer: ${reasonOf(error)}`, {
        isPassing: true,
        cause: error,
      })
    }
  }

  #refusal(status: number, body: unknown): RegistryError {
    const { host } = this.#registry
    const reason = said(body) === '' ? '' : `: ${said(body)}`
    if (status === 429)
      return new RegistryError(`${host} has been asked too often${reason}`, { isPassing: true })
    if (status >= 500)
      return new RegistryError(`${host} has trouble (${status})${reason}`, { isPassing: true })
    return new RegistryError(
      `${host} answered ${status}${reason || ', which is no answer of an ATCR registry'}`,
    )
  }
}

/** What the registry adds for a person; empty where it adds nothing. */
function said(body: unknown): string {
  const text = isObject(body) ? body['error_description'] : undefined
  return typeof text === 'string' ? printable(text) : ''
}

interface Answer {
  status: number
  body: unknown
}

/** The innermost cause says it: `fetch failed` helps nobody. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return 'nothing came in time'
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message || error.name
}

/** Text of a stranger on one line, without what a terminal would act on. */
export function printable(text: string): string {
  return text
    .replaceAll(/\p{C}+/gu, ' ')
    .trim()
    .slice(0, 300)
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > answerBytesMax) throw new RegistryError('the answer is too long for a registry’s')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const pollSecondsMax = 60
const lifetimeSecondsMax = 3600

function parseDeviceCode(body: unknown, { host, origin }: Registry): DeviceCodeAnswer {
  const nonsense = () => new RegistryError(`${host} answered nonsense: is it an ATCR registry?`)
  if (!isObject(body)) throw nonsense()
  const { device_code, user_code, verification_uri, expires_in, interval = 5 } = body
  const complete = body['verification_uri_complete'] ?? verification_uri
  const isWhole =
    isShortText(device_code) &&
    isShortText(user_code) &&
    isPage(verification_uri, origin) &&
    isPage(complete, origin)
  if (!isWhole || !isSeconds(expires_in) || !isSeconds(interval)) throw nonsense()
  return {
    device_code,
    user_code: printable(user_code),
    verification_uri,
    verification_uri_complete: complete,
    expires_in: Math.min(expires_in, lifetimeSecondsMax),
    interval: Math.min(Math.max(interval, 1), pollSecondsMax),
  }
}

function parseDeviceToken(body: unknown): DeviceTokenAnswer {
  const { device_secret, handle, did } = isObject(body) ? body : {}
  const isWhole = isShortText(device_secret) && /^[\x21-\x7e]+$/.test(device_secret) && isName(handle)
  if (!isWhole || !isDid(did)) {
    throw new RegistryError('the registry said yes, but sent nothing to sign in with')
  }
  return { device_secret, handle, did }
}

function isDeviceError(body: unknown): body is DeviceErrorAnswer {
  const known = ['authorization_pending', 'slow_down', 'access_denied', 'expired_token']
  return isObject(body) && known.includes(String(body['error']))
}

const isShortText = (it: unknown): it is string => typeof it === 'string' && it !== '' && it.length <= 1024
/** What an account is called here: its handle, or its DID where it has none that leads back to it. */
const isName = (it: unknown): it is string =>
  isDid(it) || (isShortText(it) && /^[a-z0-9][a-z0-9.-]{0,252}$/i.test(it))
const isDid = (it: unknown): it is string => isShortText(it) && /^did:[a-z]+:[A-Za-z0-9._:%-]+$/.test(it)
const isSeconds = (it: unknown): it is number => typeof it === 'number' && Number.isFinite(it) && it >= 0

/** A page that may be opened: HTTPS, or on this machine like the registry itself. */
function isPage(it: unknown, origin: string): it is string {
  if (!isShortText(it) || !/^[\x21-\x7e]+$/.test(it) || !URL.canParse(it)) return false
  const { protocol, hostname } = new URL(it)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname) && origin.startsWith('http:'))
}
