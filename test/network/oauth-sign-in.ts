import http from 'node:http'
import https from 'node:https'

import { collectBytes } from '../../src/lib/streams.ts'
import type { Account } from './accounts.ts'

const api = '/@atproto/oauth-provider/~api'

interface Answer {
  status: number
  location: string | undefined
  body: string
}

/** What a browser sends by itself; `fetch` would not let us. */
const navigation = (site: 'cross-site' | 'same-origin') => ({
  'sec-fetch-site': site,
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
})

/**
 * Does at the PDS what a person does who is sent there to authorize: signs in, allows. Answers where the PDS sends them
 * back to. The pages' own calls; a test with a browser keeps this true.
 */
export async function signInAtPds(
  authorizeUrl: URL,
  account: Pick<Account, 'handle' | 'did' | 'password'>,
  verdict: 'consent' | 'reject' = 'consent',
): Promise<URL> {
  const cookies = new Map<string, string>()
  await send(authorizeUrl, cookies, { headers: navigation('cross-site') })
  const post = async (name: string, input: object, token?: string) => {
    const headers = {
      'content-type': 'application/json',
      'sec-fetch-site': 'same-origin',
      'sec-fetch-mode': 'same-origin',
      'sec-fetch-dest': 'empty',
      origin: authorizeUrl.origin,
      referer: authorizeUrl.href,
      'x-csrf-token': cookies.get('csrf-token') ?? '',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    }
    const url = new URL(`${api}/${name}`, authorizeUrl)
    const answer = await send(url, cookies, { method: 'POST', headers, body: JSON.stringify(input) })
    if (answer.status !== 200) throw new Error(`${name} answered ${answer.status}: ${answer.body}`)
    return JSON.parse(answer.body) as { ephemeralToken?: string; url?: string }
  }
  const signedIn = await post('sign-in', { locale: 'en', username: account.handle, password: account.password, remember: false }) // prettier-ignore
  const { url } = await post(
    verdict,
    verdict === 'consent' ? { did: account.did } : {},
    signedIn.ephemeralToken,
  )
  const headers = { ...navigation('same-origin'), referer: authorizeUrl.href }
  const { status, location, body } = await send(new URL(url ?? '', authorizeUrl), cookies, { headers })
  if (location === undefined) throw new Error(`the PDS sends nobody back: ${status} ${body}`)
  return new URL(location)
}

async function send(
  url: URL,
  cookies: Map<string, string>,
  options: { method?: string; headers: Record<string, string>; body?: string },
): Promise<Answer> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const { method = 'GET', headers, body } = options
    const { request: open } = url.protocol === 'https:' ? https : http
    const request = open(url, { method, headers: { ...headers, ...(cookie === '' ? {} : { cookie }) } }, resolve) // prettier-ignore
    request.on('error', reject)
    request.end(body)
  })
  for (const text of response.headers['set-cookie'] ?? []) {
    const [pair = ''] = text.split(';')
    cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
  }
  const body = Buffer.from(await collectBytes(response, 5_000_000)).toString()
  return { status: response.statusCode ?? 0, location: response.headers.location, body }
}
