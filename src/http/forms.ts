import { createHmac, timingSafeEqual } from 'node:crypto'

import type { Context } from 'hono'

import { CodedError } from '../lib/errors.ts'
import { ByteLimitError, collectBytes } from '../lib/streams.ts'
import { html, type Html } from './html.ts'
import type { ServerEnv } from './serve.ts'

export type FormErrorCode = 'form_foreign' | 'form_malformed' | 'form_stale' | 'form_too_large'

/** A form that is not taken. `form_stale`: it was made for another session; loading it again helps. */
export class FormError extends CodedError<FormErrorCode> {}

export const formErrorStatus: Record<FormErrorCode, 400 | 403 | 413> = {
  form_foreign: 403,
  form_malformed: 400,
  form_stale: 403,
  form_too_large: 413,
}

const bodyBytesMax = 64 * 1024
const fieldCountMax = 200
const tokenField = 'csrf'

/** `uploadBytesMax`: how much a form may hold beyond its fields; only then it may have files. */
export interface FormOptions {
  uploadBytesMax?: number
}

/** The fields of a form as they were sent. */
export class Form {
  readonly #fields: URLSearchParams
  readonly #files: ReadonlyMap<string, Uint8Array>

  constructor(fields: URLSearchParams, files: ReadonlyMap<string, Uint8Array> = new Map()) {
    this.#fields = fields
    this.#files = files
  }

  /** A field's text without white space around it; empty when it was not sent. */
  text(name: string): string {
    return this.#fields.get(name)?.trim() ?? ''
  }

  /** Every value sent under a name, as of checkboxes. */
  all(name: string): string[] {
    return this.#fields.getAll(name)
  }

  isChecked(name: string): boolean {
    return this.#fields.has(name)
  }

  /** A field of several lines, as it was typed; browsers send their ends as CR LF. */
  lines(name: string): string {
    return (this.#fields.get(name) ?? '').replaceAll(/\r\n?/g, '\n')
  }

  /** A file that was chosen; whatever its name and type were called, which are not kept. */
  file(name: string): Uint8Array | undefined {
    return this.#files.get(name)
  }
}

/**
 * Reads a form that one of our own pages sent in this session: the `Origin` is ours, and the token was made from the
 * same secret (see {@link formToken}). @throws {FormError}
 */
export async function readForm(
  context: Context<ServerEnv>,
  expected: { origin: string; secret: string },
  { uploadBytesMax }: FormOptions = {},
): Promise<Form> {
  // Browsers send it with every POST; what comes without is no form of ours.
  if (context.req.header('origin') !== expected.origin)
    throw new FormError('form_foreign', 'the form was sent from another site')
  const contentType = context.req.header('content-type') ?? ''
  const mediaType = contentType.split(';', 1)[0]?.trim().toLowerCase()
  const isMultipart = uploadBytesMax !== undefined && mediaType === 'multipart/form-data'
  if (!isMultipart && mediaType !== 'application/x-www-form-urlencoded')
    throw new FormError('form_malformed', 'not a form')
  const bytesMax = bodyBytesMax + (uploadBytesMax ?? 0)
  const bytes = await collectBytes(context.env.incoming, bytesMax).catch((cause: unknown) => {
    if (cause instanceof ByteLimitError)
      throw new FormError('form_too_large', `a form has at most ${bytesMax} bytes`, { cause })
    throw cause
  })
  const { fields, files } = isMultipart
    ? await readMultipart(bytes, contentType)
    : { fields: new URLSearchParams(Buffer.from(bytes).toString('utf8')), files: new Map() }
  if (fields.size + files.size > fieldCountMax) throw new FormError('form_too_large', 'too many fields')
  if (!isToken(fields.get(tokenField) ?? '', expected.secret))
    throw new FormError('form_stale', 'the form was made for another session')
  return new Form(fields, files)
}

/** RFC 7578, by the platform's own reader. A file input that was left alone sends an empty file. */
async function readMultipart(bytes: Uint8Array, contentType: string) {
  const fields = new URLSearchParams()
  const files = new Map<string, Uint8Array>()
  const data = await new Response(bytes as Uint8Array<ArrayBuffer>, {
    headers: { 'content-type': contentType },
  })
    .formData()
    .catch((cause: unknown) => {
      throw new FormError('form_malformed', 'the form could not be read', { cause })
    })
  for (const [name, value] of data) {
    if (typeof value === 'string') fields.append(name, value)
    else if (value.size > 0) files.set(name, await value.bytes())
  }
  return { fields, files }
}

/** The same, with what is wrong with the form as a value, for those who answer with a page of their own. */
export async function tryReadForm(
  ...[context, expected]: Parameters<typeof readForm>
): Promise<Form | FormError> {
  try {
    return await readForm(context, expected)
  } catch (error) {
    if (error instanceof FormError) return error
    throw error
  }
}

/** Proves that a form was made for whoever has this secret, such as a session's cookie, without giving it away. */
export function formToken(secret: string): string {
  return createHmac('sha256', secret).update('form').digest('base64url')
}

/** The hidden field that carries the token. */
export function formTokenField(token: string): Html {
  return html`<input type="hidden" name="${tokenField}" value="${token}" />`
}

function isToken(given: string, secret: string): boolean {
  const expected = Buffer.from(formToken(secret))
  const bytes = Buffer.from(given)
  return bytes.byteLength === expected.byteLength && timingSafeEqual(bytes, expected)
}
