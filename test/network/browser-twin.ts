import http, { type IncomingHttpHeaders } from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'

export interface PageAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: string
  /** `location` of a redirect. */
  location: string
}

interface AskOptions {
  method?: string
  headers?: Record<string, string>
  body?: string | Uint8Array
}

/** What a browser does with cookies and forms, without the browser: sends exactly what it is told, follows nothing. */
export class BrowserTwin {
  readonly #origin: URL
  readonly cookies = new Map<string, string>()

  constructor(origin: string) {
    this.#origin = new URL(origin)
  }

  get(path: string, headers: Record<string, string> = {}): Promise<PageAnswer> {
    return this.ask(path, { headers })
  }

  /** The form that a page holds, sent as the page would send it; `fields` are what was filled in. */
  async submit(page: string, action: string, fields: Record<string, string>): Promise<PageAnswer> {
    const { body } = await this.get(page)
    return this.post(action, { ...hiddenFields(body), ...fields })
  }

  post(
    path: string,
    fields: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<PageAnswer> {
    return this.ask(path, {
      method: 'POST',
      body: new URLSearchParams(fields).toString(),
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        origin: this.#origin.origin,
        ...headers,
      },
    })
  }

  async ask(path: string, { method = 'GET', headers = {}, body }: AskOptions): Promise<PageAnswer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const { protocol, hostname, port } = this.#origin
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const sent = cookie === '' ? headers : { cookie, ...headers }
      const { request } = protocol === 'https:' ? https : http
      request({ hostname, port, servername: hostname, path, method, headers: sent }, resolve)
        .on('error', reject)
        .end(body)
    })
    for (const line of response.headers['set-cookie'] ?? []) this.#keep(line)
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: await text(response),
      location: response.headers.location ?? '',
    }
  }

  #keep(line: string): void {
    const [pair = ''] = line.split(';', 1)
    const name = pair.slice(0, pair.indexOf('='))
    if (/;\s*Max-Age=0(?:;|$)/i.test(line)) this.cookies.delete(name)
    else this.cookies.set(name, pair.slice(name.length + 1))
  }
}

/** The hidden fields of a page's forms, the token among them. */
export function hiddenFields(page: string): Record<string, string> {
  const found = page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)
  return Object.fromEntries(
    [...found].map(([, name = '', value = '']) => [name, value.replaceAll('&amp;', '&')]),
  )
}
