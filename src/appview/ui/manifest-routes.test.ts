import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import {
  alice,
  blob,
  privateHold,
  publicHold,
  pushRow,
  pushServer,
  serverConfig,
  types,
} from '../../../test/e2e/manifest-rows.ts'
import { pagesFixture, putTag } from '../../../test/e2e/pages-fixture.ts'
import { nextTid, type Did } from '../../atproto/syntax.ts'
import { manifestRkey } from '../../protocol/lexicon/manifest-record.ts'
import { tagRkey } from '../../protocol/lexicon/tag-record.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { putConfigBytes } from '../db/config-bytes.ts'
import { putHoldUrl } from '../db/holds.ts'
import { upsertScan } from '../db/scans.ts'
import { removeManifest } from '../read-model/manifest.ts'
import { removeTag } from '../read-model/tag.ts'

const pageBytesMax = 100_000

let fixture: Awaited<ReturnType<typeof pagesFixture>>
let server: Awaited<ReturnType<typeof pushServer>>

beforeAll(async () => {
  fixture = await pagesFixture()
  server = await pushServer(fixture.db, { repository: 'hello', release: '1.4.2', tags: ['latest', '1.4.2'] })
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function get(path: string) {
  const response = await globalThis.fetch(fixture.url + path)
  const text = await response.text()
  expect([path, Math.max(text.length, pageBytesMax)]).toEqual([path, pageBytesMax])
  return { status: response.status, text, response }
}
const manifestOf = (repository: string, { digest }: { digest: string }) =>
  `/r/alice.test/${repository}/manifests/${digest}`
/** The text of a page, as it reads. */
const words = (page: string) => page.replaceAll(/<[^>]*>/g, '').replaceAll(/\s+/g, ' ')

describe('a tag', () => {
  test('shows what it names: platforms, attestations beside them, where it comes from, what refers to it', async () => {
    const { status, text } = await get('/r/alice.test/hello/tags/latest')
    expect(status).toBe(200)
    for (const part of [
      'data-copy="docker pull registry.example/alice.test/hello:latest"',
      'Multi-platform image',
      `href="/r/alice.test/hello/manifests/${server.children[0]?.digest}"`,
      'SBOM, Provenance',
      'href="https://github.com/alice/hello" rel="nofollow noopener"',
      'Signature',
      `data-copy="cosign verify --key cosign.pub registry.example/alice.test/hello@${server.index.digest}"`,
      'href="/h/did:web:hold.example"',
      '<link rel="canonical" href="https://registry.example/r/alice.test/hello/tags/latest"',
    ])
      expect(text).toContain(part)
    expect(words(text)).not.toContain('unknown/unknown')
    expect(text).not.toContain('/-/delete?')
  })

  test('that is not there leads back; a repository may be called like a tag’s page', async () => {
    const missing = await get('/r/alice.test/hello/tags/nope')
    expect(missing.status).toBe(404)
    expect(missing.text).toContain('No such tag')
    expect(missing.text).toContain('href="/r/alice.test/hello#tags"')
    expect((await get('/r/alice.test/nothing/tags/latest')).text).toContain('No such repository')
    await pushRow(fixture.db, {
      repository: 'odd/tags/name',
      body: { layers: [blob('odd', 1)] },
      tags: ['v1'],
    })
    expect((await get('/r/alice.test/odd/tags/name')).status).toBe(200)
    expect((await get('/r/alice.test/odd/tags/name/tags/v1')).status).toBe(200)
  })
})

describe('an image', () => {
  test('shows its layers beside the steps that made them, and how it runs', async () => {
    const { status, text } = await get(manifestOf('hello', server.children[0] ?? server.index))
    expect(status).toBe(200)
    const read = words(text)
    for (const part of [
      'RUN apt-get update &amp;&amp; apt-get install -y --no-install-recommends ca-certificates curl tini',
      'COPY /build/target/release/hello /usr/local/bin/hello 4.2 MB',
      'ENV RUST_LOG=info SERVER_ADDRESS=0.0.0.0:8080 no layer',
      'Working directory /srv',
      'RUST_LOG info',
      'Base image docker.io/library/debian:trixie-slim',
      'linux/amd64',
      'Listed in index',
    ])
      expect(read).toContain(part)
    expect(read).not.toContain('# buildkit')
    expect(text).toContain('<rect width="68.6" height="4" />')
    expect(text).not.toMatch(/ style="/)
    expect(text).toContain('<meta name="robots" content="noindex"')
  })

  test('is shown without its config while the hold is down', async () => {
    const image = await pushRow(fixture.db, {
      repository: 'down',
      body: { config: blob('config elsewhere', 300, types.config), layers: [blob('a layer', 5_000_000)] },
      tags: ['v1'],
    })
    const { status, text } = await get(manifestOf('down', image))
    expect(status).toBe(200)
    expect(text).toContain('hold.example did not give out the config just now')
    expect(words(text)).toContain('5.0 MB')
  })

  test.each([
    ['is not JSON', '<script>alert(1)</script>', 'The config is not JSON'],
    ['is of wrong types', { config: { Env: 7, Cmd: { a: 1 } }, history: 'RUN', os: [] }, 'Layer'],
    ['is a list', [1, 2], 'The config is not JSON'],
    [
      'attacks whoever reads it',
      {
        os: '"><script>alert(1)</script>',
        architecture: '\u202egnp.exe',
        config: {
          Env: ['<img src=x onerror=alert(1)>=</code><script>alert(2)</script>'],
          Labels: { 'org.opencontainers.image.source': 'javascript:alert(3)', '</dt><script>': '<script>' },
          Entrypoint: ['\u0000\u001b[31m'],
        },
        history: [{ created_by: 'RUN /bin/sh -c </code></pre><script>alert(4)</script>' }],
      },
      'RUN',
    ],
  ])('whose config %s', async (name, config, shown) => {
    const image = await pushRow(fixture.db, {
      repository: 'hostile',
      body: { layers: [blob(`layer ${name}`, 10)] },
      config,
    })
    const { status, text } = await get(manifestOf('hostile', image))
    expect(status).toBe(200)
    expect(text).toContain(shown)
    expect(text.replaceAll(/<script type="module" src="[^"]+"><\/script>/g, '')).not.toContain('<script')
    expect(text).not.toMatch(/<img|href="javascript|\u202e/)
  })

  test('of thousands of layers, with thousands of everything, stays a page', async () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => index)
    const image = await pushRow(fixture.db, {
      repository: 'hostile',
      body: {
        layers: many(3_000).map((index) => blob(`l${index}`, index)),
        annotations: Object.fromEntries(many(500).map((index) => [`<${index}>&"`, '"<&>'.repeat(500)])),
      },
      config: {
        history: many(3_000).map((index) => ({ created_by: `RUN ${index} ${'&& <b> '.repeat(300)}` })),
        config: {
          Env: many(300).map((index) => `E${index}=${'"'.repeat(1_000)}`),
          Labels: Object.fromEntries(many(300).map((index) => [`l${index}`, '<'.repeat(1_000)])),
        },
      },
      tags: many(100).map((index) => `many-${index}-${'x'.repeat(100)}`),
    })
    const { text } = await get(manifestOf('hostile', image))
    expect(words(text)).toContain('more steps, in the raw JSON')
    const raw = await get(`/r/alice.test/hostile/-/raw/${image.digest}`)
    expect(raw.text).toContain('this is too much for a page')
  })
})

describe('other things', () => {
  test('an attestation names its files by what they state', async () => {
    const { text } = await get(manifestOf('hello', server.children[1] ?? server.index))
    const read = words(text)
    expect(read).toContain('Attestation')
    expect(read).toContain('SBOM application/vnd.in-toto+json')
    expect(read).toContain('Provenance application/vnd.in-toto+json')
    expect(text).toContain('data-copy="oras pull')
  })

  test('a signature leads to what it is about, also by a tag in cosign’s scheme', async () => {
    const { text } = await get(manifestOf('hello', server.signature))
    expect(words(text)).toContain(`About ${server.index.digest.slice(0, 19)}`)
    const image = await pushRow(fixture.db, {
      repository: 'signed',
      body: { layers: [blob('s', 9)] },
      config: serverConfig,
    })
    const signature = await pushRow(fixture.db, {
      repository: 'signed',
      body: {
        config: blob('sig config', 3, types.config),
        layers: [blob('sig', 4, 'application/vnd.dev.cosign.simplesigning.v1+json')],
      },
      tags: [`${image.digest.replace(':', '-')}.sig`],
    })
    const page = await get(manifestOf('signed', image))
    expect(page.text).toContain(`href="/r/alice.test/signed/manifests/${signature.digest}"`)
    expect(page.text).toContain('cosign verify')
    expect(words((await get(manifestOf('signed', signature))).text)).toContain('Signature')
  })

  test('a chart shows its metadata and dependencies', async () => {
    const chart = await pushRow(fixture.db, {
      repository: 'charts/shop',
      body: { config: blob('', 0, types.helm), layers: [blob('chart', 12_400, types.chart)] },
      config: {
        name: 'shop',
        version: '2.0.1',
        appVersion: 'v7',
        description: 'Sells <things>',
        home: 'javascript:alert(1)',
        maintainers: [{ name: 'Alice' }, 'nobody', { name: 7 }],
        dependencies: [
          { name: 'redis', version: '^19', repository: 'https://charts.example/redis' },
          null,
          { name: [] },
        ],
      },
      tags: ['2.0.1'],
    })
    const { text } = await get(manifestOf('charts/shop', chart))
    const read = words(text)
    for (const part of [
      'Chart shop',
      'Version 2.0.1',
      'Version of the app v7',
      'Sells &lt;things&gt;',
      'redis ^19',
      'Alice, 7',
    ])
      expect(read).toContain(part)
    expect(text).toContain('href="https://charts.example/redis"')
    expect(text).not.toContain('href="javascript')
    expect(text).toContain('helm pull oci://')
  })

  test('an artifact lists its files, and what its config says', async () => {
    const model = await pushRow(fixture.db, {
      repository: 'weights',
      body: {
        config: blob('', 0, 'application/vnd.docker.ai.model.config.v0.1+json'),
        layers: [
          {
            ...blob('weights', 4_400_000_000, 'application/vnd.docker.ai.gguf.v3'),
            annotations: { 'org.opencontainers.image.title': '../model-Q4.gguf' },
          },
          blob('licence', 11_000, 'application/vnd.docker.ai.license'),
        ],
      },
      config: {
        config: { format: 'gguf', parameters: '8.03 B', deep: { deeper: { no: 1 } } },
        files: ['a', 7],
      },
    })
    const read = words((await get(manifestOf('weights', model))).text)
    for (const part of ['Model', '../model-Q4.gguf', '4.4 GB', 'config.format gguf', 'files a, 7'])
      expect(read).toContain(part)
  })
})

describe('raw JSON', () => {
  test('is laid out with digests that lead somewhere; the exact bytes are a download', async () => {
    const path = `/r/alice.test/hello/-/raw/${server.index.digest}`
    const { text } = await get(path)
    expect(text).toMatch(/<span id="L1"\s*><a href="#L1">1<\/a><code>\{<\/code><\/span\s*>/)
    expect(text).toContain(
      `<a href="/r/alice.test/hello/manifests/${server.children[0]?.digest}">&quot;${server.children[0]?.digest}&quot;</a>`,
    )
    expect(text).toContain(`/v2/alice.test/hello/manifests/${server.index.digest}`)
    const { response, text: bytes } = await get(`${path}?download`)
    expect(response.headers.get('content-disposition')).toMatch(/^attachment/)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(bytes.length).toBe(server.index.size)
    const image = await get(`/r/alice.test/hello/-/raw/${server.children[0]?.digest}`)
    expect(image.text).toContain('href="/r/alice.test/hello/-/blob/sha256:')
  })

  test('of what nobody kept is said to be gone', async () => {
    await fixture.db.deleteFrom('manifest_bytes').where('digest', '=', server.signature.digest).execute()
    const { status, text } = await get(`/r/alice.test/hello/-/raw/${server.signature.digest}`)
    expect(status).toBe(404)
    expect(text).toContain('did not keep them')
  })
})

describe('the history of a tag', () => {
  const repository = 'moving'
  const path = '/r/alice.test/moving/-/history/edge'
  const push = (name: string, more: { tags?: string[]; holdDid?: Did } = {}) =>
    pushRow(fixture.db, { repository, body: { layers: [blob(name, 9)] }, tags: ['edge'], ...more })
  const remove = async ({ digest }: { digest: Digest }) => {
    const change = { did: alice, rkey: manifestRkey(digest), rev: nextTid() }
    await removeManifest(fixture.db, change)
  }
  const removeEdge = () =>
    removeTag(fixture.db, { did: alice, rkey: tagRkey(repository, 'edge'), rev: nextTid() })

  test('has every move, newest first, with what can be compared, what is gone, and a deletion', async () => {
    const first = await push('first')
    const second = await push('second')
    const third = await push('third')
    const { status, text } = await get(path)
    expect(status).toBe(200)
    const order = [third, second, first].map(({ digest }) =>
      text.indexOf(`href="/r/alice.test/moving/manifests/${digest}"`),
    )
    expect(order.toSorted((a, b) => a - b)).toEqual(order)
    expect(order[0]).toBeGreaterThan(0)
    expect(text).toContain(`href="/r/alice.test/moving/-/diff?from=${second.digest}&amp;to=${third.digest}"`)
    expect((await get('/r/alice.test/moving/tags/edge')).text).toContain(`href="${path}"`)

    await remove(second)
    await removeEdge()
    const after = await get(path)
    expect(after.status).toBe(200)
    expect(after.text).toContain('This tag was deleted')
    expect(words(after.text)).toContain(`${second.digest.slice(0, 19)} no longer there`)
    expect(after.text).not.toContain(`manifests/${second.digest}"`)
    expect(after.text).not.toContain('/-/diff?from')
    const missing = await get('/r/alice.test/moving/tags/edge')
    expect(missing.status).toBe(404)
    expect(missing.text).toContain(`href="${path}"`)
  })

  test('says nothing of what was in a private hold', async () => {
    const open = await push('open')
    const closed = await push('closed', { holdDid: privateHold })
    const { text } = await get(path)
    expect(text).toContain(open.digest)
    expect(text).not.toContain(closed.digest.slice(0, 19))
    expect(text).not.toContain('no longer there')
    await push('closed too', { holdDid: privateHold, tags: ['hidden'] })
    expect((await get('/r/alice.test/moving/-/history/hidden')).status).toBe(404)
  })

  test('has pages', async () => {
    for (let count = 0; count < 45; count++)
      await pushRow(fixture.db, {
        repository: 'paged',
        body: { layers: [blob(`p${count}`, 9)] },
        tags: ['edge'],
      })
    const first = await get('/r/alice.test/paged/-/history/edge')
    const older = /href="([^"]*\?before=[^"]*)"/.exec(first.text)?.[1] ?? ''
    expect(first.text.match(/scope="row"/g)).toHaveLength(40)
    const second = await get(older)
    expect(second.text.match(/scope="row"/g)).toHaveLength(5)
    expect(second.text).toContain('← Newest')
    expect((await get('/r/alice.test/paged/-/history/edge?before=%00')).status).toBe(200)
    for (const unknown of ['nope', '', '%2e%2e', 'a/b', 'x'.repeat(200)])
      expect((await get(`/r/alice.test/paged/-/history/${unknown}`)).status).toBe(404)
  })
})

test('what a hold’s scanner found stands on the manifest and on its index', async () => {
  const [child] = server.children
  await upsertScan(fixture.db, {
    ...{ holdDid: publicHold, ownerDid: alice, rkey: 'scan', repository: 'hello' },
    digest: child?.digest ?? server.index.digest,
    ...{ critical: 2, high: 0, medium: 11, low: 1_204, total: 1_217 },
    scannerVersion: 'grype <0.90>',
    scannedAt: '2026-11-22T09:58:00.000Z',
    sbomCid: 'bafysbom',
    reportCid: 'bafyreport',
  })
  await putHoldUrl(fixture.db, {
    did: publicHold,
    url: 'https://hold.example',
    updatedAt: '2026-11-22T09:58:00.000Z',
  })
  const { text } = await get(manifestOf('hello', child ?? server.index))
  const read = words(text)
  for (const part of ['2 critical', '11 medium', '1,204 low', 'grype &lt;0.90&gt;', '2 minutes ago'])
    expect(read).toContain(part)
  expect(read).not.toContain('0 high')
  const report =
    'https://hold.example/xrpc/com.atproto.sync.getBlob?did=did%3Aweb%3Ahold.example&amp;cid=bafyreport'
  expect(text).toContain(`href="${report}"`)
  expect(words((await get('/r/alice.test/hello/tags/latest')).text)).toContain('2 critical')
})

describe('a comparison', () => {
  const diff = (from: string, to: string, repository = 'hello') =>
    get(`/r/alice.test/${repository}/-/diff?from=${from}&to=${to}`)
  let newer: Awaited<ReturnType<typeof pushServer>>

  beforeAll(async () => {
    newer = await pushServer(fixture.db, { repository: 'hello', release: '1.5.0', tags: ['1.5.0'] })
  })

  test('of two indexes goes platform by platform, and from there layer by layer', async () => {
    const { status, text } = await diff('1.4.2', '1.5.0')
    expect(status).toBe(200)
    const [before, after] = [server.children[0]?.digest ?? '', newer.children[0]?.digest ?? '']
    expect(text).toContain(`/-/diff?from=${before}&amp;to=${after}`)
    const images = await diff(before, after)
    const read = words(images.text)
    for (const part of [
      '3 layers (39 MB) are in both',
      'removed − COPY /build/target/release/hello /usr/local/bin/hello 4.2 MB',
      'added + COPY /build/target/release/hello /usr/local/bin/hello 4.2 MB',
      'LABEL org.opencontainers.image.version removed − 1.4.2 added + 1.5.0',
    ])
      expect(read).toContain(part)
    expect(read).not.toContain('ENV RUST_LOG')
    expect(read).toContain('the same')
  })

  test('of an index with an image asks for the platform', async () => {
    const [image] = server.children
    const { text } = await diff('1.5.0', image?.digest ?? '')
    expect(words(text)).toContain('Which platform?')
    expect(text).toContain(`/-/diff?from=${newer.children[2]?.digest}&amp;to=${image?.digest}`)
    const turned = await diff(image?.digest ?? '', '1.5.0')
    expect(turned.text).toContain(`/-/diff?from=${image?.digest}&amp;to=${newer.children[2]?.digest}`)
  })

  test('says which settings and steps changed', async () => {
    const repository = 'settings'
    const push = (name: string, config: object, history: object[]) =>
      pushRow(fixture.db, {
        repository,
        tags: [name],
        body: {
          layers: [blob('base', 5_000_000), blob(name, name.length * 1_000_000)],
          annotations: { name },
        },
        config: {
          os: 'linux',
          architecture: 'amd64',
          config,
          history: [{ created_by: 'ADD base /' }, ...history],
        },
      })
    await push('a', { Env: ['X=1', 'Y=<b>'], Cmd: ['old'] }, [
      { created_by: 'RUN /bin/sh -c old # buildkit' },
    ])
    await push('bbb', { Env: ['X=2', 'Z='], User: 'app' }, [{ created_by: 'RUN /bin/sh -c new # buildkit' }])
    const read = words((await diff('a', 'bbb', repository)).text)
    for (const part of [
      '2.0 MB more',
      'downloads 3.0 MB for the second; 1 layer (5.0 MB) is in both',
      'ENV X removed − 1 added + 2',
      'ENV Y removed − &lt;b&gt;',
      'ENV Z added + (empty)',
      'Command removed − [&quot;old&quot;]',
      'User added + app',
      'removed − RUN old added + RUN new',
      'name removed − a added + bbb',
    ])
      expect(read).toContain(part)
    expect(words((await diff('a', 'a', repository)).text)).toContain('the very same manifest')
  })

  test('without one of the two helps to choose', async () => {
    const { status, text } = await get('/r/alice.test/hello/-/diff?to=latest')
    expect(status).toBe(200)
    expect(text).toContain('href="/r/alice.test/hello/-/diff?to=latest&amp;from=1.5.0"')
    expect((await get('/r/alice.test/hello/-/diff')).status).toBe(200)
    for (const wrong of [
      'nope',
      `sha256:${'0'.repeat(64)}`,
      '"><script>alert(1)</script>',
      'x'.repeat(500),
    ]) {
      const missing = await diff('latest', encodeURIComponent(wrong))
      expect(missing.status).toBe(404)
      expect(words(missing.text)).toContain('There is no such tag or manifest here for you to see')
      expect(missing.text).not.toContain('<script>alert')
      expect(missing.text).toContain('aria-invalid="true"')
    }
    expect((await diff('latest', '1.5.0', 'nothing')).status).toBe(404)
  })

  test('of what is not for everyone is none', async () => {
    const repository = 'half'
    await pushRow(fixture.db, { repository, body: { layers: [blob('open half', 1)] }, tags: ['open'] })
    const secret = await pushRow(fixture.db, {
      repository,
      body: { layers: [blob('secret half', 1)] },
      holdDid: privateHold,
      tags: ['closed'],
    })
    for (const to of ['closed', secret.digest]) {
      const { status, text } = await diff('open', to, repository)
      expect(status).toBe(404)
      expect(text).not.toContain(blob('secret half', 1).digest.slice(7, 19))
      expect(text).not.toContain('<option value="closed"')
    }
  })

  test('without a config compares what it can', async () => {
    const repository = 'half read'.replace(' ', '-')
    for (const name of ['one', 'two'])
      await pushRow(fixture.db, {
        repository,
        tags: [name],
        body: { config: blob(`gone ${name}`, 9, types.config), layers: [blob(name, 3_000)] },
      })
    const read = words((await diff('one', 'two', repository)).text)
    expect(read).toContain('could not be read just now')
    expect(read).toContain('removed − layer 3.0 kB')
  })
})

describe('what is not for everyone', () => {
  test('is not there: by tag, by digest, as raw JSON, through an index of another hold', async () => {
    const secret = await pushRow(fixture.db, {
      repository: 'mixed',
      body: { layers: [blob('secret', 1)] },
      config: { ...serverConfig, author: 'the secret' },
      holdDid: privateHold,
      tags: ['secret'],
    })
    const index = await pushRow(fixture.db, {
      repository: 'mixed',
      body: {
        mediaType: types.index,
        manifests: [{ ...secret, platform: { os: 'linux', architecture: 'amd64' } }],
      },
      tags: ['open'],
    })
    for (const path of [
      '/r/alice.test/mixed/tags/secret',
      manifestOf('mixed', secret),
      `/r/alice.test/mixed/-/raw/${secret.digest}`,
      `/r/alice.test/mixed/-/raw/${secret.digest}?download`,
      '/r/alice.test/secret/tags/latest',
    ]) {
      const { status, text } = await get(path)
      expect([path, status]).toEqual([path, 404])
      expect(text).not.toContain('the secret')
    }
    const { text } = await get(manifestOf('mixed', index))
    expect(words(text)).toContain('linux/amd64')
    expect(text).not.toContain(`href="${manifestOf('mixed', secret)}"`)
  })

  test('what one hold keeps private is not shown by naming it on another', async () => {
    const config = { ...serverConfig, author: 'only the crew knows me' }
    await pushRow(fixture.db, { repository: 'vault', body: { layers: [] }, config, holdDid: privateHold })
    const bytes = new TextEncoder().encode(JSON.stringify(config))
    const digest = blob(JSON.stringify(config), 0).digest
    await putConfigBytes(fixture.db, { holdDid: privateHold, digest }, { bytes, cachedAt: new Date(0) })
    const thief = await pushRow(fixture.db, {
      repository: 'thief',
      body: { config: { mediaType: types.config, digest, size: bytes.byteLength }, layers: [] },
    })
    const { text } = await get(manifestOf('thief', thief))
    expect(text).not.toContain('only the crew knows me')
  })

  test('addresses that mean nothing are not found, and say what helps', async () => {
    for (const path of [
      '/r/alice.test/hello/manifests/sha256:abc',
      `/r/alice.test/hello/manifests/sha256:${'0'.repeat(64)}`,
      '/r/alice.test/hello/manifests/md5:x',
      '/r/alice.test/hello/tags/%00',
      '/r/alice.test/hello/-/raw/latest',
      '/r/alice.test/hello/-/raw/',
      '/r/alice.test/hello/-/blob/x',
      `/r/alice.test/hello/-/blob/sha256:${'0'.repeat(64)}`,
      '/r/nobody.test/hello/-/raw/x',
    ]) {
      const { status, text } = await get(path)
      expect([path, status]).toEqual([path, 404])
      expect(text).toContain('class="failure"')
    }
  })
})

test('a child without a repository of its own is shown by its index', async () => {
  const child = await pushRow(fixture.db, { repository: 'first', body: { layers: [blob('child', 1)] } })
  const index = await pushRow(fixture.db, {
    repository: 'second',
    body: { mediaType: types.index, manifests: [child] },
    tags: ['v1'],
  })
  expect((await get(manifestOf('second', child))).status).toBe(200)
  await putTag(fixture.db, { owner: alice, repository: 'third', tag: 'v1', digest: index.digest, minutes: 1 })
  expect((await get(manifestOf('third', child))).status).toBe(200)
  expect((await get(manifestOf('hello', child))).status).toBe(404)
})
