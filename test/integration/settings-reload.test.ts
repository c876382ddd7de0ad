import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, expect, test } from 'vitest'

import { run } from '../e2e/command.ts'
import { findFreePort } from '../network/listening.ts'
import { ServerProcess } from '../network/server-process.ts'

/** Goal: SIGHUP changes what may change, all of it or nothing. Method: a hold as a process, its file edited in between. */
const folder = mkdtempSync(join(tmpdir(), 'reload-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'hold.yaml')
const main = 'src/hold/main.ts'
const port = await findFreePort()
const base = `http://127.0.0.1:${port}`

/** Settings of the hold in JSON, which is YAML. */
function write(more: { quota?: object; gc?: object; limits?: object; region?: string; path?: string }): void {
  const { gc = {}, limits = {}, path = join(folder, 'hold.db'), quota = {}, region } = more
  const server = { addr: `127.0.0.1:${port}`, public_url: base, test_mode: true }
  const registration = { owner_did: 'did:plc:captain', region }
  writeFileSync(file, JSON.stringify({ server, registration, database: { path }, quota, gc, limits }))
}

const tiers = async () => {
  const answer = await globalThis.fetch(`${base}/xrpc/io.atcr.hold.listTiers`)
  return ((await answer.json()) as { tiers: { name: string }[] }).tiers.map(({ name }) => name)
}

test('a hold goes by new tiers, refuses nonsense, and says what waits for a restart', async () => {
  const levelFile = join(folder, 'level')
  writeFileSync(levelFile, 'info\n')
  write({ quota: { tiers: [{ name: 'deckhand', quota: '1GB' }] } })
  await using hold = new ServerProcess(main, file, {
    HOLD_LOG_LEVEL_FILE: levelFile,
    HOLD_SERVER_PUBILC: 'true',
  })
  await hold.said('hold is ready')
  expect(hold.log).toContain(
    'HOLD_SERVER_PUBILC in the environment is no setting; did you mean HOLD_SERVER_PUBLIC?',
  )
  expect(await tiers()).toEqual(['deckhand'])

  write({ quota: { tiers: [{ name: 'deckhand', quota: '1GB' }, { name: 'mate', quota: '5GB' }] }, gc: { enabled: true }, region: 'eu' }) // prettier-ignore
  const said = await hold.signal('SIGHUP', 'wait for a restart')
  expect(said).toMatch(/"changed":\["quota\.tiers","gc\.enabled"\].*the settings were read again/)
  expect(said).toContain('"settings":["registration.region"]')
  expect(await tiers()).toEqual(['deckhand', 'mate'])

  write({ quota: { tiers: [{ name: 'captain', quota: 'lots' }], defaults: { new_crew_tier: 'x' } }, gc: { enabeld: true } }) // prettier-ignore
  const refusal = await hold.signal('SIGHUP', 'the settings stay as they were')
  expect(refusal).toMatch(
    /quota\.tiers\.0\.quota: expected a size.*gc\.enabeld: unknown setting|gc\.enabeld: unknown setting.*quota\.tiers\.0\.quota: expected a size/,
  )
  expect(await tiers()).toEqual(['deckhand', 'mate'])

  // The environment is that of the process; a file it names is read again.
  write({ region: 'eu' })
  writeFileSync(levelFile, 'debug\n')
  const back = await hold.signal('SIGHUP', 'wait for a restart')
  expect(back).toContain('"changed":["log_level","quota.tiers","gc.enabled"]')
  expect(await tiers()).toEqual([])
  await hold.said('listTiers')
})

test('limits are tightened and loosened while a hold runs', async () => {
  const statuses = async () => {
    const answers = []
    for (let count = 0; count < 3; count++) answers.push(await globalThis.fetch(`${base}/xrpc/io.atcr.hold.listTiers`)) // prettier-ignore
    return answers.map(({ status }) => status)
  }
  write({})
  await using hold = new ServerProcess(main, file)
  await hold.said('hold is ready')
  expect(await statuses()).toEqual([200, 200, 200])
  write({ limits: { xrpc_calls: 1 } })
  await hold.signal('SIGHUP', 'the settings were read again')
  expect(await statuses()).toEqual([200, 429, 429])
  // What did not change does not begin anew.
  write({ limits: { xrpc_calls: 1, repo_exports: 5 } })
  await hold.signal('SIGHUP', 'the settings were read again')
  expect(await statuses()).toEqual([429, 429, 429])
  write({ limits: { xrpc_calls: 1, exempt_networks: ['127.0.0.0/8'] } })
  await hold.signal('SIGHUP', 'the settings were read again')
  expect(await statuses()).toEqual([200, 200, 200])
  write({ limits: { exempt_networks: ['nonsense'] } })
  await hold.signal('SIGHUP', 'the settings stay as they were')
  write({ limits: { enabled: false } })
  await hold.signal('SIGHUP', 'the settings were read again')
  expect(await statuses()).toEqual([200, 200, 200])
})

test('`config check` tells the same without starting anything', async () => {
  write({ path: join(folder, 'none', 'hold.db') })
  const check = (environment: Record<string, string> = {}) => run(process.execPath, [main, 'config', 'check', '--config', file], environment) // prettier-ignore
  expect(await check()).toMatchObject({ status: 0, stdout: expect.stringContaining('the settings are fine') })
  const wrong = await check({
    HOLD_STORAGE_DRIVER: 's3',
    HOLD_STORAGE_SECRET_KEY_FILE: join(folder, 'nowhere'),
  })
  expect(wrong.status).toBe(1)
  expect(wrong.stderr).toMatch(/storage\.bucket: missing[^]*|HOLD_STORAGE_SECRET_KEY_FILE: cannot read/)
  expect(wrong.stderr).toContain('2 problem(s) in the settings')
})
