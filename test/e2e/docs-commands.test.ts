import { readFileSync } from 'node:fs'
import { cp, mkdir, rm, stat } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { s3Bucket, s3Credentials } from '../network/infrastructure.ts'
import { findFreePort } from '../network/listening.ts'
import { TestNetwork } from '../network/test-network.ts'
import { commandsIn, commandsOf, documentedPages, type DocumentedCommand } from './docs/commands.ts'
import { bundlePrograms, Sandbox } from './docs/sandbox.ts'
import { OciLayout } from './oci-layout.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

/**
 * Goal: what a page tells people to type works. Method: the pages' own lines are run, in their order, on a machine where the
 * names they use mean something; of each line that is not run here it is said who runs it, or why nobody does.
 */

/** Pages that another test follows. */
const pagesElsewhere: Record<string, string> = {
  'docs/operating/backup.md': 'test/integration/backup-restore.test.ts',
  'docs/operating/bare-metal.md': 'test/integration/operating-pages.test.ts',
  'docs/operating/upcloud.md': 'test/integration/operating-pages.test.ts',
  'docs/operating/scenarios.md': 'test/e2e/scenarios.test.ts',
}

/** Lines that another test runs, as pages have them. */
const elsewhere: Record<string, string> = {
  'npm ci && npm start': 'test/e2e/npm-start.test.ts',
  'npm run atcr -- config init atcr.yaml': 'test/e2e/all-in-one.test.ts',
  'npm run atcr -- serve --config atcr.yaml': 'test/e2e/all-in-one.test.ts',
  'curl -fsSL https://registry.example/install.sh | sh': 'test/e2e/helper.test.ts',
  'docker-credential-atcr login registry.example': 'test/e2e/helper.test.ts',
  'docker push registry.example/alice.example/app': 'test/e2e/helper.test.ts',
  'npm run images -- --push registry.example/alice.example': 'test/e2e/container-images.test.ts',
  'atcr-hold register --config atcr-hold.yaml': 'test/integration/owner-registration.test.ts',
  'npm ci && npm test': '.ci/run',
  'npm run check': 'scripts/test.ts',
}

const wantsEngine = 'wants a container engine with compose, and images from the network'
const wantsCluster = 'wants a cluster'
const wantsJournal = "wants systemd's journal"

/** Lines that nothing runs, and why. */
const untried: readonly [line: RegExp, why: string][] = [
  [/^npm run bench$/, 'takes ten minutes on a quiet machine'],
  [/ssh backup@nas\.example/, 'wants another machine'],
  [/^docker build --push /, 'wants buildx'],
  [/^docker compose |^cd deploy$|^cp \.env\.prod\.template /, wantsEngine],
  [/^podman run .* atcr-hold$/, 'wants a name that the network can reach'],
  [/^(?:skopeo inspect|oras discover) .*\/atcr-hold:latest$/, 'wants images that were pushed there'],
  [/^kubectl /, wantsCluster],
  [/^journalctl /, wantsJournal],
]

const isUntried = (line: string) => untried.some(([pattern]) => pattern.test(line))

const followed = new Set<string>()
const keyOf = ({ page, line }: DocumentedCommand) => `${page}: ${line}`

let folder: string
let network: TestNetwork
let programs: Awaited<ReturnType<typeof bundlePrograms>>

beforeAll(async () => {
  folder = await makeTemporaryFolder('atcr-docs')
  programs = await bundlePrograms(`${folder}/programs`)
  network = await TestNetwork.create({ storage: 's3' })
})
afterAll(async () => {
  await network?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** Follows a page, or some of its lines; `before` a line there may be something to prepare. Gives back what each printed. */
async function follow(
  sandbox: Sandbox,
  page: string,
  options: { only?: RegExp; before?: Record<string, () => Promise<unknown>> } = {},
): Promise<Map<string, string>> {
  const printed = new Map<string, string>()
  const { before = {}, only = /./ } = options
  for (const command of commandsOf(page).filter(({ line }) => only.test(line))) {
    if (isUntried(command.line) || command.line in elsewhere) continue
    await before[command.line]?.()
    printed.set(command.line, await sandbox.follow(command.line))
    followed.add(keyOf(command))
  }
  return printed
}

test('clients do what README and the page on CI say', async () => {
  const registry = new URL(network.appview.url).host
  const { appPassword, handle } = network.accounts.alice
  await using sandbox = await Sandbox.create(`${folder}/clients`, {
    programs,
    names: {
      '127.0.0.1:5000': registry,
      'registry.example': registry,
      'registry.example.com': registry,
      'alice.example': handle,
      'alice.example.com': handle,
      'APP-PASSWORD': appPassword,
    },
    environment: {
      ATCR_APP_PASSWORD: appPassword,
      VERSION: '1.0',
      REGISTRY_AUTH_FILE: `${folder}/clients/work/auth.json`,
      CONTAINERS_REGISTRIES_CONF: `${folder}/clients/work/registries.conf`,
    },
  })
  await sandbox.write('auth.json', '{}')
  await sandbox.write('registries.conf', `[[registry]]\nlocation = "${registry}"\ninsecure = true\n`)
  await (await OciLayout.create(sandbox.path('work/image'))).addImage('v1', [30_000])
  await sandbox.follow('id=$(podman pull -q oci:$PWD/image:v1); for tag in latest 1.0; do podman tag $id registry.example/alice.example/app:$tag; done') // prettier-ignore
  await follow(sandbox, 'docs/using/ci.md')
  await follow(sandbox, 'README.md', { only: /^(docker|skopeo) / })
  for (const tag of ['v1', '1.0', 'latest']) {
    const digest = await sandbox.follow(`skopeo inspect --format {{.Digest}} docker://registry.example/alice.example/app:${tag}`) // prettier-ignore
    expect(digest.trim()).toMatch(/^sha256:/)
  }
})

describe('whoever runs a hold', () => {
  let sandbox: Sandbox
  let port: number
  const data = (name: string) => sandbox.path('var/lib/atcr', name)
  const hold = (address: string, path: string) => ({
    server: { addr: address, public_url: `http://${address}`, test_mode: true },
    registration: { owner_did: network.accounts.alice.did },
    database: { path, plc_directory_url: network.plc.url },
  })

  beforeAll(async () => {
    port = await findFreePort()
    const address = `127.0.0.1:${port}`
    const path = `${folder}/hold/var/lib/atcr/hold.db`
    sandbox = await Sandbox.create(`${folder}/hold`, {
      programs,
      names: { '127.0.0.1:8080': address },
      // What a reader would write into the file.
      environment: {
        HOLD_SERVER_ADDR: address,
        HOLD_SERVER_PUBLIC_URL: `http://${address}`,
        HOLD_SERVER_TEST_MODE: 'true',
        HOLD_REGISTRATION_OWNER_DID: network.accounts.alice.did,
        HOLD_DATABASE_PATH: path,
        HOLD_DATABASE_PLC_DIRECTORY_URL: network.plc.url,
      },
    })
    const { accessKey, secretKey, region } = s3Credentials
    const bucket = { driver: 's3', endpoint: network.s3?.url, region, bucket: s3Bucket, access_key: accessKey, secret_key: secretKey } // prettier-ignore
    const other = hold(`127.0.0.1:${await findFreePort()}`, `${folder}/hold/var/lib/other/hold.db`)
    await sandbox.write('disk.yaml', stringify(hold(address, path)))
    await sandbox.write('old.yaml', stringify(hold(address, path)))
    await sandbox.write('s3.yaml', stringify({ ...hold(address, path), storage: bucket }))
    await sandbox.write('new.yaml', stringify(other))
    await sandbox.write('../units/atcr-hold-new', `cd ${sandbox.path('work')}; for name in $(compgen -e HOLD_); do unset $name; done; exec atcr-hold serve --config new.yaml`) // prettier-ignore
  })
  afterAll(() => sandbox?.[Symbol.asyncDispose]())

  test('can follow the page on holds from the first start to a successor', async () => {
    const emptied = async () => {
      await sandbox.stop('atcr-hold')
      await rm(sandbox.path('var/lib/atcr'), { recursive: true })
    }
    let isFirst = true
    const older = async () => {
      await sandbox.stop('atcr-hold')
      await sandbox.follow('atcr-hold repo export old.car --config atcr-hold.yaml')
      await cp(data('signing.key'), sandbox.path('work/old-signing.key'))
      await emptied()
    }
    const printed = await follow(sandbox, 'docs/operating/hold.md', {
      before: {
        // The page does so twice: after a disk was lost, and for a hold that takes over from an older program.
        'mkdir /var/lib/atcr': async () => {
          await (isFirst ? emptied() : older())
          isFirst = false
        },
        'atcr-hold migrate --config old.yaml --to new.yaml --to-other-hold --while-serving': () =>
          sandbox.follow('systemctl start atcr-hold-new && systemctl stop atcr-hold-new'),
      },
    })
    expect(await sandbox.read('atcr-hold.yaml')).toContain('public_url')
    expect((await stat(sandbox.path('mnt/backup/hold/hold.db'))).size).toBeGreaterThan(0)
    expect(printed.get('atcr-hold migrate --config old.yaml --to new.yaml --to-other-hold --set-successor')).toMatch(/is succeeded by/) // prettier-ignore
    await sandbox.stop('atcr-hold-new')
  })

  test('can type each example of the commands', async () => {
    await follow(sandbox, 'docs/operating/configuration.md')
    await sandbox.follow('systemctl stop atcr-hold && rm -rf hold.car atcr-hold.yaml')
    await sandbox.follow('atcr-hold config init atcr-hold.yaml')
    const stopped = () => sandbox.stop('atcr-hold')
    const serving = () => sandbox.follow('atcr-hold serve --config atcr-hold.yaml')
    await follow(sandbox, 'docs/CLI.md', {
      only: /atcr-hold/,
      before: {
        'atcr-hold config init atcr-hold.yaml': () => rm(sandbox.path('work/atcr-hold.yaml')),
        'atcr-hold healthcheck http://127.0.0.1:8080': serving,
        'atcr-hold repo export hold.car': stopped,
        'atcr-hold repo import captain.car crew.car': () => sandbox.follow('cp hold.car captain.car && cp hold.car crew.car'), // prettier-ignore
      },
    })
  })
})

/** What a reader would write into the settings of an AppView, or of everything in one. */
const appViewEnvironment = (address: string, data: string) => ({
  ATCR_SERVER_ADDR: address,
  ATCR_SERVER_BASE_URL: `http://${address}`,
  ATCR_SERVER_DEFAULT_HOLD_DID: network.hold.did,
  ATCR_SERVER_DATA_FOLDER: data,
  ATCR_SERVER_TEST_MODE: 'true',
  ATCR_IDENTITY_PLC_DIRECTORY_URL: network.plc.url,
  ATCR_JETSTREAM_URLS: network.jetstream.url,
  ATCR_JETSTREAM_BACKFILL_ENABLED: 'false',
})

test('whoever runs an AppView can type each example of the commands', async () => {
  const address = `127.0.0.1:${await findFreePort()}`
  const data = `${folder}/appview/var/lib/atcr`
  await mkdir(data, { recursive: true })
  await using sandbox = await Sandbox.create(`${folder}/appview`, {
    programs,
    names: { '127.0.0.1:5000': address },
    environment: appViewEnvironment(address, data),
  })
  await sandbox.follow('atcr-appview config init atcr-appview.yaml')
  const lost = async () => {
    await sandbox.stop('atcr-appview')
    await rm(data, { recursive: true })
  }
  await follow(sandbox, 'docs/CLI.md', {
    only: /atcr-appview/,
    before: {
      'atcr-appview config init atcr-appview.yaml': () => rm(sandbox.path('work/atcr-appview.yaml')),
      // The one after `--keys-only` in the same folder would find no database there.
      'atcr-appview backup /mnt/backup/appview --keys-only --config atcr-appview.yaml': () =>
        sandbox.follow('mv /mnt/backup/appview /mnt/backup/whole'),
      'atcr-appview restore /mnt/backup/appview --config atcr-appview.yaml': async () => {
        await lost()
        await sandbox.follow('rm -r /mnt/backup/appview && mv /mnt/backup/whole /mnt/backup/appview')
      },
      'atcr-appview restore /mnt/backup/appview --other-host --config atcr-appview.yaml': lost,
    },
  })
})

test('whoever runs both in one can follow its page, from the first start to a restored backup', async () => {
  const address = `127.0.0.1:${await findFreePort()}`
  const data = `${folder}/one/var/lib/atcr`
  await using sandbox = await Sandbox.create(`${folder}/one`, {
    programs,
    names: { '127.0.0.1:5000': address },
    environment: {
      ATCR_ADDRESS: `http://${address}`,
      ATCR_OWNER: network.accounts.alice.did,
      ATCR_ADDR: address,
      ATCR_DATA_FOLDER: data,
      ATCR_TEST_MODE: 'true',
      ATCR_IDENTITY_PLC_DIRECTORY_URL: network.plc.url,
      ATCR_APPVIEW_JETSTREAM_URLS: network.jetstream.url,
      ATCR_APPVIEW_JETSTREAM_BACKFILL_ENABLED: 'false',
    },
  })
  await follow(sandbox, 'docs/operating/all-in-one.md', {
    before: {
      'mkdir -p /var/lib/atcr': async () => {
        await sandbox.stop('atcr')
        await rm(data, { recursive: true })
      },
    },
  })
  expect((await stat(`${data}/hold.db`)).size).toBeGreaterThan(0)
  await follow(sandbox, 'docs/CLI.md', {
    only: /(?:^| )atcr /,
    before: { 'atcr config init atcr.yaml': () => rm(sandbox.path('work/atcr.yaml')) },
  })
})

describe('of every command on every page', () => {
  const all = documentedPages().flatMap(commandsOf)

  test('it is known who runs it', () => {
    const isKnown = (it: DocumentedCommand) =>
      followed.has(keyOf(it)) || it.page in pagesElsewhere || it.line in elsewhere || isUntried(it.line)
    expect(all.filter((it) => !isKnown(it)).map(keyOf)).toEqual([])
    expect(followed.size).toBeGreaterThan(60)
  })

  test('what is said of it is not out of date', () => {
    const lines = all.map(({ line }) => line)
    expect(Object.keys(elsewhere).filter((line) => !lines.includes(line))).toEqual([])
    expect(untried.filter(([pattern]) => !lines.some((line) => pattern.test(line)))).toEqual([])
    for (const file of Object.values(elsewhere)) expect(readFileSync(file, 'utf8').length).toBeGreaterThan(0)
    for (const [page, file] of Object.entries(pagesElsewhere)) expect(readFileSync(file, 'utf8')).toContain(page) // prettier-ignore
  })

  test('blocks are read as a shell reads them', () => {
    const page = 'text\n```sh\n# why\nfirst --a \\\n  --b   # so\n\nsecond "#1"\n```\n```yaml\nno: 1\n```\n'
    expect(commandsIn(page)).toEqual(['first --a --b', 'second "#1"'])
  })
})
