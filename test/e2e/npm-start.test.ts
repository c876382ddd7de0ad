import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { partNames } from '../network/infrastructure.ts'
import { assertPortFree, findFreePort } from '../network/listening.ts'
import { OciClient } from '../network/oci-client.ts'

/** Goal: a newcomer's one command works, twice. Method: the script as npm runs it, in a process of its own. */
let folder: string
let portBase: number
let running: ChildProcess | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-start-'))
  portBase = await findFreeRow()
})
afterAll(async () => {
  running?.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

async function findFreeRow(): Promise<number> {
  for (;;) {
    const base = await findFreePort()
    const row = partNames.map((_, index) =>
      assertPortFree({ what: 'it', host: '127.0.0.1', port: base + index }),
    )
    const results = await Promise.allSettled(row)
    if (results.every((it) => it.status === 'fulfilled')) return base
  }
}

const dev = (...args: string[]) =>
  spawn(process.execPath, [
    'scripts/dev.ts',
    '--data',
    join(folder, 'data'),
    '--port-base',
    String(portBase),
    ...args,
  ])

async function startUntilReady(name: string, ...args: string[]) {
  const jsonFile = join(folder, name)
  const process = dev('--json', jsonFile, ...args)
  running = process
  const output = text(process.stdout)
  await expect
    .poll(() => existsSync(jsonFile) || process.exitCode !== null, { timeout: 60_000, interval: 50 })
    .toBe(true)
  return { process, output, ready: JSON.parse(await readFile(jsonFile, 'utf8')) as Ready }
}

interface Ready {
  appview: { url: string }
  accounts: { handle: string; did: string; password: string; appPassword: string }[]
}

async function stop(process: ChildProcess, signal: NodeJS.Signals): Promise<unknown> {
  process.kill(signal)
  const [code] = (await once(process, 'exit')) as unknown[]
  return code
}

test('starts, proves that it works, stops on Ctrl-C and finds everything again', async () => {
  const first = await startUntilReady('first.json')
  const url = (index: number, scheme = 'http', host = 'localhost') =>
    `${scheme}://${host}:${portBase + index}`
  expect(first.ready).toEqual({
    appview: { url: url(0, 'http', '127.0.0.1') },
    hold: { url: url(1), did: `did:web:localhost%3A${portBase + 1}` },
    pds: { url: url(2) },
    plc: { url: url(3) },
    jetstream: { url: url(4, 'ws') },
    accounts: ['alice.test', 'bob.test'].map((handle) => ({
      handle,
      did: expect.stringMatching(/^did:plc:[a-z2-7]{24}$/) as string,
      password: expect.any(String) as string,
      appPassword: expect.stringMatching(/^(\w{4}-){3}\w{4}$/) as string,
    })),
  })
  expect(await stop(first.process, 'SIGINT')).toBe(0)
  const output = await first.output
  expect(output).toContain('push and pull')
  expect(output).toContain(first.ready.accounts[0]?.appPassword)

  const second = await startUntilReady('second.json', '--no-demo-push')
  expect(second.ready).toEqual(first.ready)
  const reader = new OciClient({ registryUrl: second.ready.appview.url })
  const manifest = await reader.pullManifest('alice.test/hello', 'latest')
  const { layers } = JSON.parse(Buffer.from(manifest.bytes).toString()) as {
    layers: { digest: string; size: number }[]
  }
  const layer = await reader.pullBlob('alice.test/hello', layers[0]?.digest ?? '')
  expect((await layer.arrayBuffer()).byteLength).toBe(layers[0]?.size)

  const third = dev('--fresh')
  const [complaint] = await Promise.all([text(third.stderr), once(third, 'exit')])
  expect(complaint).toContain(
    `the AppView cannot start: port ${portBase} on 127.0.0.1 is in use by another program`,
  )
  expect(third.exitCode).toBe(1)
  expect((await reader.pullManifest('alice.test/hello', 'latest')).digest).toBe(manifest.digest)
  expect(await stop(second.process, 'SIGTERM')).toBe(0)
})
