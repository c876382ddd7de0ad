import { expect, test } from 'vitest'

import { UrlSigner } from './url-signer.ts'

test('a signed URL is good for its method and path until it expires', () => {
  let nowMs = 1_000_000_000_000
  const signer = new UrlSigner({
    baseUrl: 'https://hold.example/',
    key: Buffer.from('k'),
    now: () => new Date(nowMs),
  })
  const url = signer.sign('GET', '/blobs/sha256:ab', 60)
  expect(url.href).toMatch(/^https:\/\/hold\.example\/blobs\/sha256:ab\?exp=1000000060&sig=[\w-]{43}$/)
  const { searchParams } = url
  expect(signer.verify('GET', '/blobs/sha256:ab', searchParams)).toBe('valid')
  expect(signer.verify('HEAD', '/blobs/sha256:ab', searchParams)).toBe('forged')
  expect(signer.verify('GET', '/blobs/sha256:cd', searchParams)).toBe('forged')
  expect(signer.verify('GET', '/blobs/sha256:ab', new URLSearchParams())).toBe('forged')
  const longer = new URLSearchParams(searchParams)
  longer.set('exp', '2000000000')
  expect(signer.verify('GET', '/blobs/sha256:ab', longer)).toBe('forged')
  nowMs += 60_000
  expect(signer.verify('GET', '/blobs/sha256:ab', searchParams)).toBe('expired')
})
