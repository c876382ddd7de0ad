import { parse } from 'parse5'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { pagesFixture, putManifest, putTag } from '../../../test/e2e/pages-fixture.ts'
import { setAccountActive } from '../db/identities.ts'

let fixture: Awaited<ReturnType<typeof pagesFixture>>

beforeAll(async () => {
  fixture = await pagesFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function get(path: string) {
  const response = await globalThis.fetch(fixture.url + path)
  return { response, text: await response.text() }
}

test('the first page says what this is, lists pushes and shows how to push', async () => {
  const { response, text } = await get('/')
  expect(response.status).toBe(200)
  for (const part of [
    'container registry',
    'alice.test',
    '/r/alice.test/app',
    '3 minutes ago',
    'title="22 November 2026 at 09:57 UTC"',
    'docker push',
  ]) {
    expect(text).toContain(part)
  }
})

test('an image page has commands to paste, tags with digest, platforms, size and age', async () => {
  const { response, text } = await get('/r/alice.test/app')
  expect(response.status).toBe(200)
  for (const part of [
    'data-copy="docker pull registry.example/alice.test/app:latest"',
    'data-copy="podman pull registry.example/alice.test/app:latest"',
    'linux/arm64/v8',
    '106 MB',
    'v1.4.2',
    'Signature',
    'hold.example',
    '<link rel="canonical" href="https://registry.example/r/alice.test/app"',
  ]) {
    expect(text).toContain(part)
  }
  expect(text).not.toContain('unknown/unknown')
})

test('a DID, its alias and another case of the handle lead to the same page', async () => {
  for (const owner of [
    'did:plc:alicealicealicealicealic',
    'did%3Aplc%3Aalicealicealicealicealic',
    'did-plc-alicealicealicealicealic',
  ]) {
    const { text } = await get(`/r/${owner}/app`)
    expect(text).toContain('href="https://registry.example/r/alice.test/app"')
  }
  expect((await get('/u/ALICE.test')).response.status).toBe(200)
})

test('what is not for everyone, or not there, is not found', async () => {
  for (const path of [
    '/r/alice.test/secret',
    '/r/alice.test/nothing',
    '/r/alice.test',
    '/r/nobody.test/app',
    '/r/alice.test/app?page=99',
    '/r/..%2f..%2fetc/passwd',
    '/r/alice.test/A//B',
    '/u/nobody.test',
    '/u/%00',
    '/assets/schema.ts',
    '/nowhere',
  ]) {
    const { response, text } = await get(path)
    expect([path, response.status]).toEqual([path, 404])
    expect(text).toContain('See recent pushes')
  }
  const { text } = await get('/')
  expect(text).not.toContain('secret')
  expect((await get('/u/alice.test')).text).not.toContain('secret')
})

test('an account that is away is not shown', async () => {
  await using other = await pagesFixture()
  const did = 'did:plc:alicealicealicealicealic'
  await setAccountActive(other.db, { did, isActive: false, at: '2026-11-22T10:00:00.000Z' })
  for (const path of ['/u/alice.test', '/r/alice.test/app'])
    expect((await globalThis.fetch(other.url + path)).status).toBe(404)
  expect(await (await globalThis.fetch(other.url)).text()).not.toContain('alice.test/app')
})

test('a failure names its number and no more', async () => {
  const { response, text } = await get('/fail')
  expect(response.status).toBe(500)
  expect(text).toContain(response.headers.get('x-request-id') ?? 'none')
  expect(text).not.toContain('secret detail')
})

test('whatever strangers write stays text', async () => {
  await using other = await pagesFixture()
  const owner = 'did:plc:alicealicealicealicealic'
  const digest = await putManifest(other.db, {
    owner,
    repository: 'evil',
    name: 'evil',
    minutes: 1,
    artifactType: '"><img src=x onerror=alert(1)>',
    annotations: {
      'org.opencontainers.image.description': '</p><script>alert(2)</script>&copy;\u202e\u0007',
    },
  })
  await putTag(other.db, { owner, repository: 'evil', tag: 'x', digest, minutes: 1 })
  for (const path of [
    '/',
    '/u/alice.test',
    '/r/alice.test/evil',
    '/r/alice.test/%3Cscript%3Ealert(3)%3C%2Fscript%3E',
  ]) {
    const text = await (await globalThis.fetch(other.url + path)).text()
    expect(text).not.toMatch(/<script>|<img|onerror="|\u202e|(?!\n)\p{Cc}/u)
    expect(elements(text).filter((name) => name === 'script')).toHaveLength(path === '/' ? 3 : 2)
  }
})

test('a tag alone makes a repository, for records of older software that name only one', async () => {
  await using other = await pagesFixture()
  const owner = 'did:plc:alicealicealicealicealic'
  const digest = await putManifest(other.db, { owner, repository: 'first', name: 'shared', minutes: 5 })
  await putTag(other.db, { owner, repository: 'second', tag: 'v1', digest, minutes: 5 })
  const text = await (await globalThis.fetch(`${other.url}/r/alice.test/second`)).text()
  expect(text).toContain('alice.test/second:v1')
  expect(text).toContain('1 manifest')
  expect(await (await globalThis.fetch(`${other.url}/u/alice.test`)).text()).toContain('/r/alice.test/second')
})

test('nothing is loaded from elsewhere or inline, and the policy says so', async () => {
  for (const path of ['/', '/u/alice.test', '/r/alice.test/app', '/nowhere']) {
    const { response, text } = await get(path)
    const policy = response.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe')
    expect(text).not.toMatch(/ style=| on[a-z]+=|<style/)
    for (const [, url] of text.matchAll(/(?:src|href)="([^"]*)"/g)) {
      expect(url).toMatch(/^(\/|#|https:\/\/registry\.example\/)/)
    }
  }
})

test('assets are found under names that change with them, and may be kept for good', async () => {
  const { text } = await get('/')
  const paths = [...text.matchAll(/"(\/assets\/[^"]+)"/g)].map((match) => match[1] as string)
  expect(paths).toHaveLength(5)
  for (const path of paths) {
    expect(path).toMatch(/-[0-9a-f]{12}\.(css|js|svg)$/)
    const { response } = await get(path)
    expect(response.headers.get('cache-control')).toContain('immutable')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  }
})

test('a page stays below 100 KB however much there is to show', async () => {
  const { text } = await get('/r/alice.test/busy')
  expect(text.length).toBeLessThan(100_000)
  expect(text).toContain('Page 1 of 4')
  expect(text).toContain('Built on every commit.')
  expect((await get('/r/alice.test/busy?page=4')).text).toContain('build-00119')
  for (const page of ['0', '-1', 'x', '1e3', '']) {
    expect([200, 404]).toContain((await get(`/r/alice.test/busy?page=${page}`)).response.status)
  }
})

describe('the page that tells how to install the helper', () => {
  const sha256 = 'ab'.repeat(32)
  const build = (name: string) => ({ name: `docker-credential-atcr-${name}`, sha256 })
  const pageOf = async (options: Parameters<typeof pagesFixture>[0]) => {
    await using other = await pagesFixture({ isEmpty: true, ...options })
    return (await globalThis.fetch(`${other.url}/install`)).text()
  }

  test('has commands for the systems there is a build for, and checksums of what they fetch', async () => {
    const text = await pageOf({ helperBuilds: ['linux-x64', 'linux-x64.gz', 'win-x64.exe.gz'].map(build) })
    expect(text).toContain('data-copy="curl -fsSL https://registry.example/install.sh | sh"')
    expect(text).toContain('data-copy="irm https://registry.example/install.ps1 | iex"')
    expect(text).toContain('data-copy="docker-credential-atcr login registry.example"')
    expect(text).toContain('href="/install/docker-credential-atcr-linux-x64.gz"')
    expect(text.match(new RegExp(`<code>${sha256}`, 'g'))).toHaveLength(2)
    expect(text).not.toContain('macOS')
  })

  test('has commands where builds are elsewhere, and no files', async () => {
    const text = await pageOf({ helperDownloadBase: 'https://cdn.example/helper' })
    expect(text).toContain('Linux, macOS')
    expect(text).toContain('install.ps1 | iex')
    expect(text).not.toContain('sha256')
  })

  test('promises nothing where there is none', async () => {
    const text = await pageOf({})
    expect(text).toContain('offers no builds of the helper')
    expect(text).not.toContain('install.sh')
    expect(text).toContain('docker login registry.example')
  })
})

/** The elements a browser would make of a text. */
function elements(text: string): string[] {
  const names: string[] = []
  const visit = (node: { nodeName: string; childNodes?: unknown[] }) => {
    names.push(node.nodeName)
    for (const child of node.childNodes ?? []) visit(child as typeof node)
  }
  visit(parse(text))
  return names
}
