import { expect, test } from 'vitest'

import { OciError, ociErrorBody, ociErrorCodes, ociErrorStatus } from './errors.ts'

test('every code has a client or server status and a message', () => {
  for (const code of ociErrorCodes) {
    const error = new OciError(code)
    expect(error.status, code).toBe(ociErrorStatus(code))
    expect(error.status, code).toBeGreaterThanOrEqual(400)
    expect(error.message, code).not.toBe('')
  }
})

test('every code on the wire is upper-case letters and underscores, as the spec demands', () => {
  const codes = ociErrorCodes
    .flatMap((code) => ociErrorBody(new OciError(code)).errors)
    .map(({ code }) => code)
  for (const code of codes) expect(code).toMatch(/^[A-Z_]+$/)
})

test('the body carries code, message and detail', () => {
  const error = new OciError('BLOB_UNKNOWN', 'no such blob', { detail: { digest: 'sha256:x' } })
  expect(ociErrorBody(error)).toEqual({
    errors: [{ code: 'BLOB_UNKNOWN', message: 'no such blob', detail: { digest: 'sha256:x' } }],
  })
})

test('a manifest that names a missing blob is 400', () => {
  expect(ociErrorStatus('MANIFEST_BLOB_UNKNOWN')).toBe(400)
})

test('a manifest over the limit is 413 with a code of the spec', () => {
  const error = new OciError('MANIFEST_TOO_LARGE')
  expect(error.status).toBe(413)
  expect(ociErrorBody(error).errors[0]?.code).toBe('SIZE_INVALID')
})
