import { expect, test } from 'vitest'

import { AtprotoError } from '../../atproto/errors.ts'
import { OciError } from '../../protocol/oci/errors.ts'
import { AppViewError } from '../errors.ts'
import { renderOciError, toOciError } from './errors.ts'

const bodyOf = async (response: Response) =>
  (await response.json()) as { errors: { code: string; message: string; detail?: unknown }[] }

test('a limit says when to come back: what the PDS said, else a minute', async () => {
  const told = renderOciError(new AppViewError('rate_limited', 'slow', { retryAfterSeconds: 17 }), 'r')
  const untold = renderOciError(new AppViewError('rate_limited', 'slow'), 'r')
  expect([told.status, told.headers.get('retry-after')]).toEqual([429, '17'])
  expect(untold.headers.get('retry-after')).toBe('60')
})

test('another server’s failure is 503, whoever noticed it', () => {
  for (const error of [new AppViewError('hold_unreachable', 'x'), new AtprotoError('bad_answer', 'x')]) {
    const response = renderOciError(error, 'r')
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
  }
})

test('a failure of ours says only its request id', async () => {
  const response = renderOciError(new TypeError('secret is not a function'), 'req-1')
  expect(response.status).toBe(500)
  expect(await bodyOf(response)).toEqual({
    errors: [{ code: 'UNKNOWN', message: 'internal error (request req-1)' }],
  })
})

test('details go out, causes do not', async () => {
  const error = new AppViewError('manifest_blob_missing', 'missing', {
    detail: { digests: ['d'] },
    cause: new Error('inside'),
  })
  const { errors } = await bodyOf(renderOciError(error, 'r'))
  expect(errors).toEqual([{ code: 'MANIFEST_BLOB_UNKNOWN', message: 'missing', detail: { digests: ['d'] } }])
})

test('the spec’s own errors pass as they are', () => {
  const error = new OciError('DIGEST_INVALID')
  expect(toOciError(error, 'r')).toBe(error)
})
