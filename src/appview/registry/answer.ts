import type { ServerResponse } from 'node:http'

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'

/**
 * What the registry answers, in plain values: the small answers that clients ask for all day are written straight to
 * the socket, for which a `Response` would cost as much as all the rest.
 */
export interface Answer {
  status: number
  headers: Record<string, string>
  body?: string | Uint8Array
}

export function jsonAnswer(value: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return { status, headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(value) }
}

export function toResponse({ status, headers, body }: Answer): Response {
  return new Response((body as string | Uint8Array<ArrayBuffer> | undefined) ?? null, { status, headers })
}

/** Bodies up to this size go out in one piece with the head of their answer: a plain write in place of a gathering one. */
const onePieceBytesMax = 64 * 1024

/** Writes an answer to a GET or HEAD, with the length of its body and with headers that all answers have. */
export async function sendAnswer(
  outgoing: ServerResponse,
  answer: Answer | Response,
  commonHeaders: Readonly<Record<string, string>>,
): Promise<void> {
  if (answer === RESPONSE_ALREADY_SENT) return
  const { status, headers, body } = answer instanceof Response ? await plain(answer) : answer
  const isBodyless = status === 204 || status === 304
  if (!isBodyless && headers['content-length'] === undefined) {
    headers['content-length'] = String(body === undefined ? 0 : Buffer.byteLength(body))
  }
  outgoing.writeHead(status, { ...commonHeaders, ...headers })
  // Node leaves the body of a HEAD out by itself.
  if (body === undefined || isBodyless) outgoing.end()
  else if (typeof body === 'string' || body.byteLength > onePieceBytesMax) outgoing.end(body)
  // To Node, a head and a text are one text; Latin-1 is a character for each byte.
  else outgoing.end(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'), 'latin1')
}

async function plain(response: Response): Promise<Answer> {
  const { status, headers } = response
  const body = response.body === null ? undefined : new Uint8Array(await response.arrayBuffer())
  return { status, headers: Object.fromEntries(headers), ...(body === undefined ? {} : { body }) }
}
