import fs from 'node:fs'
import type { IncomingMessage } from 'node:http'

import { expect, test } from 'vitest'

import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'

/**
 * Goal: whoever reads the log learns no secret. Method: a push and a pull, relayed and direct, with everything logged; every
 * secret that comes in over either program's sockets, and those that stand in their key files, is looked for.
 */

/** Tokens of headers, and what signs an address. */
function secretsOf({ headers, url = '' }: IncomingMessage): string[] {
  const [, token = ''] = (headers.authorization ?? '').split(' ', 2)
  const { pathname, searchParams } = new URL(url, 'http://here.invalid')
  const [, capability = ''] = /^\/v2\/direct\/blobs\/uploads\/(.+)$/.exec(pathname) ?? []
  const basic = /^Basic /i.test(headers.authorization ?? '') ? Buffer.from(token, 'base64').toString().split(':').slice(1).join(':') : '' // prettier-ignore
  const signed = [...searchParams]
    .filter(([name]) => /sig|key|token|secret/i.test(name))
    .map(([, value]) => value)
  return [token, basic, capability, ...signed].filter((text) => text.length >= 12)
}

test.each(['direct', 'relay'] as const)('uploads go %s', async (uploadMode) => {
  using log = captureLog()
  const secrets = new Set<string>()
  await using network = await TestNetwork.create({ uploadMode, logLevel: 'debug' })
  for (const server of [network.appview.server, network.hold.server.server])
    server.on('request', (request: IncomingMessage) => secretsOf(request).forEach((it) => secrets.add(it)))
  const { alice } = network.accounts
  const client = new OciClient({ registryUrl: network.appview.url, username: alice.handle, password: alice.appPassword }) // prettier-ignore
  const image = imageOfFiles({ 'hello.txt': `pushed ${uploadMode}` })
  await client.pushImage('alice.test/logged', image, 'latest')
  await client.pullManifest('alice.test/logged', 'latest')
  for (const { digest } of image.blobs) await client.pullBlob('alice.test/logged', digest)
  await network.settled()
  // And things that fail, which are logged with what is known of them.
  network.faults.add({ kind: 'error', to: 'pds', status: 500 })
  await client.request('GET', '/v2/alice.test/other/manifests/latest')
  for (const path of [network.appview.context.config.server.data_folder ?? '']) {
    for (const name of fs.globSync('**/*.key', { cwd: path })) {
      const lines = fs.readFileSync(`${path}/${name}`, 'latin1').split('\n')
      for (const line of lines) if (line.length > 20 && !line.startsWith('-----')) secrets.add(line)
    }
  }
  secrets.add(alice.appPassword)
  const lines = log.text()
  expect(lines.split('\n').length).toBeGreaterThan(10)
  expect(secrets.size).toBeGreaterThan(6)
  for (const secret of secrets)
    expect(lines.includes(secret), `a secret of ${secret.length} characters`).toBe(false)
})

/** What the programs of this process log from now on, caught where it would be written to standard output. */
function captureLog(): Disposable & { text: () => string } {
  const { write } = fs
  const lines: string[] = []
  const capture = (fd: number, data: string | Buffer, ...rest: unknown[]) => {
    if (fd !== 1) return Reflect.apply(write, fs, [fd, data, ...rest])
    lines.push(String(data))
    const done = rest.at(-1) as (...results: unknown[]) => void
    return queueMicrotask(() => done(null, Buffer.byteLength(data), data))
  }
  Object.assign(fs, { write: capture })
  return { text: () => lines.join(''), [Symbol.dispose]: () => void Object.assign(fs, { write }) }
}
