import { expect, test } from 'vitest'

import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { RemoteImages, remoteImageBytesMax } from './remote-images.ts'
import { RemoteReadmes } from './remote-readmes.ts'
import { Sealing } from './sealing.ts'

const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(100)])
const url = 'https://e.example/a.png'
const sealing = new Sealing(Buffer.alloc(32))
const time = { ms: 0 }
const now = () => new Date(time.ms)

/** A web of a few addresses, and what was asked of it. */
function webOf(answers: Record<string, () => Response>) {
  const asked: { url: string; headers: Headers; init: RequestInit }[] = []
  const fetch: Fetch = async (input, init = {}) => {
    const address = new Request(input).url
    asked.push({ url: address, headers: new Headers(init.headers), init })
    return answers[address]?.() ?? new Response('no', { status: 404 })
  }
  return { fetch, asked }
}

const keyOf = (images: RemoteImages, address: string) =>
  new URL(images.path(address), 'https://us.example').searchParams.get('key') ?? ''

test('a picture that a page shows is fetched once, without cookies and without saying who asks', async () => {
  const { asked, fetch } = webOf({
    [url]: () => new Response(png, { headers: { 'content-type': 'text/html' } }),
  })
  const images = new RemoteImages({ fetch, sealing, now })
  const found = await images.find(url, keyOf(images, url))
  // Its type is what its bytes are.
  expect(found?.type).toBe('image/png')
  expect(Buffer.from(found?.bytes ?? [])).toEqual(png)
  await images.find(url, keyOf(images, url))
  expect(asked).toHaveLength(1)
  const [{ headers, init } = {}] = asked
  expect([...(headers?.keys() ?? [])]).toEqual(['accept'])
  expect(init).toMatchObject({ credentials: 'omit', referrerPolicy: 'no-referrer', redirect: 'manual' })
})

test('nothing is fetched for an address that we did not give out', async () => {
  const { asked, fetch } = webOf({ [url]: () => new Response(png) })
  const images = new RemoteImages({ fetch, sealing, now })
  const other = new RemoteImages({ fetch, sealing: new Sealing(Buffer.alloc(32, 1)), now })
  for (const key of ['', 'x', keyOf(images, 'https://e.example/b.png'), keyOf(other, url)])
    expect(await images.find(url, key)).toBeUndefined()
  expect(asked).toEqual([])
})

test.each([
  [
    'an SVG',
    () =>
      new Response('<svg xmlns="http://www.w3.org/2000/svg"/>', { headers: { 'content-type': 'image/png' } }),
  ],
  ['more than three megabytes', () => new Response(Buffer.concat([png, Buffer.alloc(remoteImageBytesMax)]))],
  ['an error', () => new Response(png, { status: 500 })],
  ['a page', () => new Response('<!doctype html>')],
  ['a circle of redirects', () => new Response(null, { status: 302, headers: { location: url } })],
  ['a redirect to no address', () => new Response(null, { status: 302, headers: { location: 'http://[' } })],
])('%s is no picture', async (_, answer) => {
  const { asked, fetch } = webOf({ [url]: answer })
  const images = new RemoteImages({ fetch, sealing, now })
  expect(await images.find(url, keyOf(images, url))).toBeUndefined()
  expect(asked.length).toBeLessThanOrEqual(4)
})

test('a redirect is followed, and its address guarded like the first', async () => {
  const { asked, fetch } = webOf({
    [url]: () => new Response(null, { status: 301, headers: { location: '/b.png' } }),
    'https://e.example/b.png': () => new Response(png),
  })
  const images = new RemoteImages({ fetch, sealing, now })
  expect((await images.find(url, keyOf(images, url)))?.type).toBe('image/png')
  expect(asked.map(({ init }) => init.redirect)).toEqual(['manual', 'manual'])
})

const readme = 'https://e.example/README.md'
const text = (body: string, type = 'text/plain; charset=utf-8') => new Response(body, { headers: { 'content-type': type } }) // prettier-ignore

test('a README of elsewhere is there for who comes next, and is looked for again after an hour', async () => {
  let count = 0
  const { asked, fetch } = webOf({ [readme]: () => text(`# ${++count}`) })
  const readmes = new RemoteReadmes({ fetch, now })
  expect([readmes.peek(readme), readmes.peek(readme)]).toEqual([undefined, undefined])
  await readmes.settled()
  expect(readmes.peek(readme)).toBe('# 1')
  expect(asked).toHaveLength(1)
  time.ms += 3_600_000
  readmes.peek(readme)
  await readmes.settled()
  expect(readmes.peek(readme)).toBe('# 2')
})

test.each([
  ['a page', () => text('# Hi', 'text/html')],
  ['bytes', () => new Response(png, { headers: { 'content-type': 'text/plain' } })],
  ['more than 100 KB', () => text('x'.repeat(100_001))],
  ['nothing', () => text('  ')],
])('%s is no README, and is not asked for at every visit', async (_, answer) => {
  const { asked, fetch } = webOf({ [readme]: answer })
  const readmes = new RemoteReadmes({ fetch, now })
  readmes.peek(readme)
  await readmes.settled()
  expect(readmes.peek(readme)).toBeUndefined()
  await readmes.settled()
  expect(asked).toHaveLength(1)
})
