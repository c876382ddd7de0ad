import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { sleep } from '../../src/lib/clock.ts'
import type { DeviceCodeAnswer, DeviceTokenAnswer } from '../../src/protocol/device/messages.ts'
import { BrowserTwin } from '../network/browser-twin.ts'
import { Daemon } from '../network/daemon.ts'
import { Infrastructure } from '../network/infrastructure.ts'
import { OciClient, OciClientError } from '../network/oci-client.ts'
import { startPostgres } from '../network/postgres.ts'
import { blobOf, imageOfLayers, randomLayer, type SampleImage } from '../network/sample-image.ts'
import { signIn } from '../network/web-login.ts'
import { WebhookReceiver } from '../network/webhook-receiver.ts'
import { PageShell, readCommands } from './page-commands.ts'

/**
 * Goal: what docs/operating/backup.md says is so. Method: AppView and hold as processes of their own, backed up by the page's
 * commands while images are pushed without a pause, then killed, with everything they had on disk deleted. Folders stand for machines.
 */
const page = 'docs/operating/backup.md'
const repository = 'alice.test/app'
const waitSecondsMax = 120

let folder: string
let infrastructure: Infrastructure
let receiver: WebhookReceiver
const daemons = new Map<Room, Daemon>()

type Room = 'appview' | 'hold'

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-restore-'))
  await mkdir(join(folder, 'network'))
  receiver = await WebhookReceiver.start()
  infrastructure = await Infrastructure.start({
    folder: join(folder, 'network'),
    ports: {},
    storage: 'filesystem',
    pdsRateLimits: false,
    progress: () => undefined,
  })
})
afterAll(async () => {
  for (const daemon of daemons.values()) await daemon.stop('SIGKILL')
  await infrastructure?.[Symbol.asyncDispose]()
  await receiver?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const main = (room: Room) => join(import.meta.dirname, `../../src/${room}/main.ts`)
const urlOf = (room: Room) => `http://127.0.0.1:${infrastructure.ports[room]}`
const newMachine = (name: string) => PageShell.create(join(folder, name))
const config = (machine: PageShell, room: Room) => machine.path(`etc/atcr/${room}.yaml`)

/** Settings as an operator would write them; JSON is YAML. */
async function writeSettings(machine: PageShell, ui: object = {}): Promise<void> {
  const { ports, plc, pds, accounts, jetstream } = infrastructure
  const holdDid = `did:web:localhost%3A${ports.hold}`
  const hold = {
    log_level: 'warn',
    server: { addr: `127.0.0.1:${ports.hold}`, public_url: `http://localhost:${ports.hold}`, public: true, test_mode: true },
    registration: { owner_did: accounts.alice.did, allow_all_crew: true },
    database: { path: machine.path('var/lib/atcr-hold/hold.db'), did: holdDid, plc_directory_url: plc.url, handle_resolver_url: pds.url },
  } // prettier-ignore
  const appview = {
    log_level: 'warn',
    server: {
      addr: `127.0.0.1:${ports.appview}`,
      base_url: urlOf('appview'),
      default_hold_did: holdDid,
      data_folder: machine.path('var/lib/atcr-appview'),
      test_mode: true,
    },
    ui,
    identity: { plc_directory_url: plc.url, handle_resolver_url: pds.url },
    jetstream: { urls: [jetstream.url], relay_endpoints: [] },
  }
  await writeFile(config(machine, 'hold'), JSON.stringify(hold))
  await writeFile(config(machine, 'appview'), JSON.stringify(appview))
}

async function start(machine: PageShell, ...rooms: Room[]): Promise<void> {
  for (const room of rooms) {
    const args = [main(room), 'serve', '--config', config(machine, room)]
    const daemon = new Daemon(process.execPath, args, { logFile: join(folder, `${room}.log`) })
    daemons.set(room, daemon)
    await daemon.untilReady(() => fetch(`${urlOf(room)}/health`).then((it) => it.ok, () => false), waitSecondsMax) // prettier-ignore
    if (room === 'hold')
      infrastructure.jetstream.follow('hold', `http://localhost:${infrastructure.ports.hold}`)
  }
}

/** As a machine ends that loses its power. */
async function kill(...rooms: Room[]): Promise<void> {
  for (const room of rooms) {
    if (room === 'hold') await infrastructure.jetstream.unfollow('hold')
    await daemons.get(room)?.stop('SIGKILL')
    daemons.delete(room)
  }
}

/** Runs what the page says below a heading; services are started and stopped here, since systemd does not run. */
async function follow(machine: PageShell, heading: string): Promise<string> {
  const said: string[] = []
  for (const line of await readCommands(page, heading)) {
    const [, verb, units = ''] = /^systemctl (start|stop|enable) (.*)$/.exec(line) ?? []
    const rooms = units.split(' ').map((unit) => unit.replace('atcr-', '') as Room)
    if (verb === 'stop') await kill(...rooms)
    else if (verb === 'start') await start(machine, ...rooms)
    // Timers are for a machine.
    else if (verb === undefined) said.push(await machine.mustRun(line))
  }
  return said.join('')
}

async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + waitSecondsMax * 1000; ; await sleep(200)) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (Date.now() > deadline) throw new Error(`${what} did not come about`)
  }
}

/** A browser of alice's, and a machine of hers that was paired in it. */
async function signInAlice(): Promise<{ browser: BrowserTwin; device: OciClient }> {
  const browser = new BrowserTwin(urlOf('appview'))
  await signIn(browser, infrastructure.accounts.alice)
  const post = (path: string, body: object) =>
    fetch(`${urlOf('appview')}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const begun = (await (
    await post('/auth/device/code', { device_name: 'laptop' })
  ).json()) as DeviceCodeAnswer
  const page = `/device?code=${begun.user_code}`
  expect((await browser.submit(page, '/device/approve', { verdict: 'approve' })).status).toBe(303)
  const paired = (await (await post('/auth/device/token', { device_code: begun.device_code })).json()) as DeviceTokenAnswer // prettier-ignore
  const device = new OciClient({ registryUrl: urlOf('appview'), username: paired.handle, password: paired.device_secret }) // prettier-ignore
  return { browser, device }
}

const newImage = async () => imageOfLayers([blobOf(crypto.randomUUID()), await randomLayer(200_000)])

async function expectPulled(image: SampleImage, tag: string): Promise<void> {
  const anyone = new OciClient({ registryUrl: urlOf('appview') })
  const manifest = await anyone.pullManifest(repository, tag)
  expect(Buffer.from(manifest.bytes).equals(image.bytes), tag).toBe(true)
  for (const { digest } of image.blobs) {
    const response = await anyone.pullBlob(repository, digest)
    expect(blobOf(new Uint8Array(await response.arrayBuffer())).digest).toBe(digest)
  }
}

/** Pushes one image after another until it is told to stop. */
function pushOn(device: OciClient) {
  const pushed: [tag: string, image: SampleImage][] = []
  const over = new AbortController()
  const ended = (async () => {
    while (!over.signal.aborted) {
      const [tag, image] = [`push-${pushed.length}`, await newImage()]
      await device.pushImage(repository, image, tag)
      pushed.push([tag, image])
    }
  })()
  return { pushed, stop: () => (over.abort(), ended) }
}

/** Every layer record's digest, and the newest commit. */
async function readHold() {
  const did = `did:web:localhost%3A${infrastructure.ports.hold}`
  const ask = async (method: string, query: Record<string, string>) => {
    const url = `${urlOf('hold')}/xrpc/${method}?${new URLSearchParams({ ...query }).toString()}`
    return (await (await fetch(url)).json()) as { rev: string; records?: { value: { digest: string } }[] }
  }
  const { rev } = await ask('com.atproto.sync.getLatestCommit', { did })
  const { records = [] } = await ask('com.atproto.repo.listRecords', { repo: did, collection: 'io.atcr.hold.layer', limit: '100' }) // prettier-ignore
  return { rev, digests: records.map(({ value }) => value.digest) }
}

let first: PageShell
let second: PageShell

test('everything that was answered before the backup is there when all disks were lost', async () => {
  first = await newMachine('first')
  await writeSettings(first)
  await start(first, 'hold', 'appview')
  const { browser, device } = await signInAlice()
  const image = await newImage()
  await device.pushImage(repository, image, 'before')
  expect((await browser.submit(`/r/${repository}`, '/stars/put', {})).status).toBe(303)
  const hooks = '/settings/webhooks'
  const hook = { url: receiver.url('/told'), trigger: 'push', repository: '' }
  expect((await browser.submit(hooks, `${hooks}/add`, hook)).status).toBeLessThan(400)

  const pushing = pushOn(device)
  await until('a push', async () => (pushing.pushed.length >= 2 ? true : undefined))
  const answered = [...pushing.pushed]
  expect(await follow(first, 'Backing up')).toMatch(/Backup of 127\.0\.0\.1[^]*Backup of did:web/)
  const before = await readHold()
  const known = pushing.pushed.length
  await until('a push', async () => (pushing.pushed.length >= known + 2 ? true : undefined))
  await pushing.stop()
  const [lostTag, lost] = pushing.pushed.at(-1) as [string, SampleImage]

  await kill('appview', 'hold')
  await rm(first.path('var/lib'), { recursive: true })
  // Another machine, with the backups and with remains of something in the way.
  second = await newMachine('second')
  await writeSettings(second)
  await cp(first.path('var/backups'), second.path('var/backups'), { recursive: true })
  for (const file of ['atcr-appview/ui.db', 'atcr-hold/hold.db-wal']) {
    await mkdir(second.path(`var/lib/${file.split('/')[0]}`))
    await writeFile(second.path(`var/lib/${file}`), 'half a file')
  }
  expect(await follow(second, 'Restoring')).toContain('Restored 127.0.0.1')

  for (const [tag, each] of [['before', image], ...answered] as const) await expectPulled(each, tag)
  // Who was signed in still is: browser, device, star and webhook.
  expect((await browser.get('/settings')).status).toBe(200)
  expect((await browser.get('/stars')).body).toContain(repository)
  expect((await browser.get(hooks)).body.replaceAll('<wbr />', '')).toContain(new URL(receiver.url()).host)
  const after = await newImage()
  await device.pushImage(repository, after, 'after')
  await expectPulled(after, 'after')
  const isTold = () => receiver.messages.some(({ body }) => body.includes(after.digest))
  await until('the webhook', async () => (isTold() ? true : undefined))

  // The hold goes on as itself, with a commit that is newer than all that anyone has seen.
  const digests = after.blobs.map(({ digest }) => digest)
  const now = await until('the layer records', async () => {
    const found = await readHold()
    return digests.every((digest) => found.digests.includes(digest)) ? found : undefined
  })
  expect(now.rev > before.rev).toBe(true)
  expect(infrastructure.jetstream.refused).toEqual([])

  // What came after the backup: its manifest is in the PDS, its layers are lost, and that is said; a push mends it.
  const anyone = new OciClient({ registryUrl: urlOf('appview') })
  const found = await until('the manifest', () => anyone.pullManifest(repository, lostTag).catch(() => undefined)) // prettier-ignore
  expect(found.digest).toBe(lost.digest)
  const layer = lost.blobs[0]?.digest as string
  const failure: unknown = await anyone.pullBlob(repository, layer).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(OciClientError)
  expect(failure).toMatchObject({ status: 404, body: expect.stringContaining('BLOB_UNKNOWN') as string })
  await device.pushImage(repository, lost, lostTag)
  await expectPulled(lost, lostTag)
}, 600_000) // prettier-ignore

test('a backup is refused where it does not belong, and when it was damaged', async () => {
  await kill('appview')
  const call = (machine: PageShell, words: string) =>
    machine.run(`atcr-appview ${words} --config /etc/atcr/appview.yaml`)
  const refused = async (machine: PageShell, backup = '/var/backups/atcr-appview') => {
    const { status, stderr } = await call(machine, `restore ${backup}`)
    expect(status).toBe(1)
    return stderr
  }
  expect(await refused(second)).toContain('ui.db is there already: stop the AppView')
  const third = await newMachine('third')
  await writeSettings(third)
  expect((await call(third, 'backup /var/backups/none')).stderr).toContain('no AppView has run here yet')
  await cp(first.path('var/backups'), third.path('var/backups'), { recursive: true })
  expect(await refused(third, '/var/backups/atcr-hold')).toContain('has no backup')

  const settings = await readFile(config(third, 'appview'), 'utf8')
  await writeFile(config(third, 'appview'), settings.replace(urlOf('appview'), 'https://other.example'))
  expect(await refused(third)).toContain('set that back, or give --other-host')
  await writeFile(config(third, 'appview'), settings)

  await cp(third.path('var/backups/atcr-appview'), third.path('var/backups/damaged'), { recursive: true })
  const database = (await readdir(third.path('var/backups/damaged'))).find((name) => name.endsWith('-ui.db')) as string // prettier-ignore
  const path = third.path(`var/backups/damaged/${database}`)
  const bytes = await readFile(path)
  bytes[5000] = (bytes[5000] ?? 0) ^ 1
  await writeFile(path, bytes)
  expect(await refused(third, '/var/backups/damaged')).toContain(`${database} is not what was written`)
  await expect(stat(third.path('var/lib/atcr-appview'))).rejects.toThrow('ENOENT')

  // Another AppView's key is there.
  const key = third.path('var/lib/atcr-appview/auth/sealing.key')
  await mkdir(join(key, '..'), { recursive: true })
  await writeFile(key, 'of another')
  expect(await refused(third)).toContain('there is another AppView already')
  await rm(key)
  expect((await call(third, 'restore /var/backups/atcr-appview')).status).toBe(0)
  expect((await stat(key)).mode & 0o777).toBe(0o600)
}, 300_000) // prettier-ignore

test('with PostgreSQL the database is dumped, and the keys are copied beside it', async () => {
  await using postgres = await startPostgres()
  const [old, fresh] = [postgres.createDatabase(), postgres.createDatabase()]
  const machine = await newMachine('with-postgres')
  const commands = await readCommands(page, 'PostgreSQL')
  expect(commands).toHaveLength(4)
  const [dump, restore] = [commands.slice(0, 2), commands.slice(2)]
  await writeSettings(machine, { database_url: old })
  await start(machine, 'appview')
  const { browser, device } = await signInAlice()
  const image = await newImage()
  await device.pushImage(repository, image, 'dumped')

  const whole = await machine.run('atcr-appview backup /var/backups/x --config /etc/atcr/appview.yaml')
  expect([whole.status, whole.stderr]).toEqual([1, expect.stringContaining('use pg_dump')])
  for (const line of dump) await machine.mustRun(line, { ATCR_UI_DATABASE_URL: old })
  await kill('appview')
  await rm(machine.path('var/lib'), { recursive: true })

  await writeSettings(machine, { database_url: fresh })
  for (const line of restore) await machine.mustRun(line, { ATCR_UI_DATABASE_URL: fresh })
  await start(machine, 'appview')
  await expectPulled(image, 'dumped')
  expect((await browser.get('/settings')).status).toBe(200)
  await device.pushImage(repository, await newImage(), 'after-dump')
}, 600_000) // prettier-ignore

test('in one process both are backed up by the unit, and restored into one folder', async () => {
  await kill('appview', 'hold')
  const machine = await newMachine('in-one')
  const { ports, plc, pds, accounts, jetstream } = infrastructure
  const settings = {
    address: `http://localhost:${ports.appview}`,
    addr: `127.0.0.1:${ports.appview}`,
    owner: accounts.bob.did,
    data_folder: machine.path('var/lib/atcr'),
    test_mode: true,
    log_level: 'warn',
    identity: { plc_directory_url: plc.url, handle_resolver_url: pds.url },
    appview: { jetstream: { urls: [jetstream.url], relay_endpoints: [] } },
    hold: { server: { public: true } },
  }
  const file = machine.path('etc/atcr/atcr.yaml')
  await writeFile(file, JSON.stringify(settings))
  const serve = async () => {
    const args = [join(import.meta.dirname, '../../src/all-in-one/main.ts'), 'serve', '--config', file]
    const daemon = new Daemon(process.execPath, args, { logFile: join(folder, 'in-one.log') })
    daemons.set('appview', daemon)
    await daemon.untilReady(() => fetch(`${urlOf('appview')}/health`).then((it) => it.ok, () => false), waitSecondsMax) // prettier-ignore
  }
  await serve()
  // Not whoever pushed before: that profile names a hold that is no more.
  const { handle, appPassword } = accounts.bob
  const image = await newImage()
  const owner = new OciClient({ registryUrl: settings.address, username: handle, password: appPassword })
  await owner.pushImage('bob.test/in-one', image, 'v1')

  const unit = await readFile(join(import.meta.dirname, '../../deploy/systemd/atcr-backup.service'), 'utf8')
  const lines = [...unit.matchAll(/^ExecStart=\/usr\/local\/bin\/(.*)$/gm)].map(([, line]) => line as string)
  expect(lines).toHaveLength(2)
  const env = { BACKUP_FOLDER: machine.path('var/backups/atcr'), BACKUP_FLAGS: '--blobs' }
  for (const line of lines) await machine.mustRun(line, env)
  await kill('appview')
  await rm(settings.data_folder, { recursive: true })
  await mkdir(settings.data_folder)
  for (const line of [
    'cp -a /var/backups/atcr/hold/. /var/lib/atcr/',
    'atcr appview restore /var/backups/atcr/appview --config /etc/atcr/atcr.yaml',
  ])
    await machine.mustRun(line)
  await serve()
  const anyone = new OciClient({ registryUrl: settings.address })
  expect((await anyone.pullManifest('bob.test/in-one', 'v1')).digest).toBe(image.digest)
  for (const { digest } of image.blobs) {
    const response = await anyone.pullBlob('bob.test/in-one', digest)
    expect(blobOf(new Uint8Array(await response.arrayBuffer())).digest).toBe(digest)
  }
}, 600_000) // prettier-ignore
