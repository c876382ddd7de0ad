import { cp, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { appViewSettings } from '../../src/appview/config.ts'
import { holdSettings } from '../../src/hold/config.ts'
import { loadSettings } from '../../src/lib/config.ts'
import { run } from '../e2e/command.ts'
import { PageShell, readCommands } from './page-commands.ts'

/**
 * Goal: whoever follows the pages gets there. Method: their commands, in the order of the page, in a folder that stands for a machine's root. What
 * makes the machine (packages, services, firewall) only writes down what it is told; files and programs are real.
 */
const project = join(import.meta.dirname, '../..')
const machineTools = ['apt-get', 'dnf', 'git', 'npm', 'systemctl', 'systemd-sysusers', 'chown', 'ufw', 'firewall-cmd', 'setsebool', 'docker', 'rpm'] // prettier-ignore

let folder: string
let machine: PageShell

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-pages-'))
  machine = await PageShell.create(folder, machineTools)
  // What `git clone` brings.
  await cp(join(project, 'deploy'), machine.path('opt/atcr/deploy'), { recursive: true })
  await writeFile(machine.path('opt/atcr/deploy/.env.prod.template'), 'APPVIEW_DOMAIN=\n')
  await writeFile(machine.path('opt/atcr/deploy/docker-compose.prod.yml'), '')
  for (const name of ['src', 'node_modules', 'package.json'])
    await symlink(join(project, name), machine.path(`opt/atcr/${name}`))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function follow(page: string, headings: readonly string[], env?: Record<string, string>) {
  for (const heading of headings) {
    const commands = await readCommands(page, heading)
    expect(commands.length, heading).toBeGreaterThan(0)
    for (const command of commands) await machine.mustRun(command, env)
  }
}

/** Blocks of a language on a page. */
async function blocksOf(page: string, language: string): Promise<string[]> {
  const text = await readFile(join(project, page), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(([, block]) => block as string) // prettier-ignore
}

test('bare-metal.md makes a machine with users, units and settings', async () => {
  const page = 'docs/operating/bare-metal.md'
  await follow(page, ['Programs', 'Users, units, settings', 'Proxy and firewall', 'Start', 'Upgrading'])
  const told = (await readFile(machine.path('log'), 'utf8')).split('\n')
  expect(told).toEqual(
    expect.arrayContaining([
      'systemctl enable --now atcr-hold atcr-appview',
      'systemctl enable --now atcr-backup@appview.timer atcr-backup@hold.timer',
      `chown atcr-hold ${machine.path('etc/atcr/hold.yaml')}`,
    ]),
  )
  const units = await readdir(join(project, 'deploy/systemd'))
  const wanted = units.filter((name) => /\.(service|timer)$/.test(name)).toSorted()
  expect(wanted.length).toBeGreaterThan(5)
  expect((await readdir(machine.path('etc/systemd/system'))).toSorted()).toEqual(wanted)
  // What the units start is what was linked, and it runs.
  const unit = await readFile(machine.path('etc/systemd/system/atcr-hold.service'), 'utf8')
  const program = /^ExecStart=\/(\S+)/m.exec(unit)?.[1] as string
  expect((await run(machine.path(program), ['--help'])).stdout).toContain('Usage: atcr-hold')
  for (const name of ['hold', 'appview'])
    expect((await stat(machine.path(`etc/atcr/${name}.yaml`))).mode & 0o777).toBe(0o600)

  // The users of the units are those that are made.
  const users = machine.path('etc/sysusers.d/atcr.conf')
  const made = [...(await readFile(users, 'utf8')).matchAll(/^u (\S+)/gm)].map(([, name]) => name)
  for (const name of wanted.filter((it) => it.endsWith('.service'))) {
    const text = await readFile(machine.path(`etc/systemd/system/${name}`), 'utf8')
    const user = /^User=(.*)$/m.exec(text)?.[1] ?? ''
    for (const instance of user.includes('%i') ? ['hold', 'appview'] : ['']) expect(made).toContain(user.replace('%i', instance)) // prettier-ignore
  }

  const [hold, appview] = (await blocksOf(page, 'yaml')).map((text) => text.replace('did:plc:…', 'did:plc:abcdefghijklmnopqrstuvwx')) // prettier-ignore
  const holdConfig = loadSettings(holdSettings, { environment: {}, yaml: hold ?? '' }).settings
  const appviewConfig = loadSettings(appViewSettings, { environment: {}, yaml: appview ?? '' }).settings
  expect(holdConfig.database.path).toBe('/var/lib/atcr-hold/hold.db')
  expect(appviewConfig.server.data_folder).toBe('/var/lib/atcr-appview')
}, 300_000)

test('bare-metal.md states what systemd says of the units', async () => {
  const text = await readFile(join(project, 'docs/operating/bare-metal.md'), 'utf8')
  const [, stated] = /\*\*(\d\.\d)\*\* of 10/.exec(text) ?? []
  const { stdout } = await run('systemd-analyze', ['security', '--offline=true', '--no-pager', join(project, 'deploy/systemd/atcr-hold.service')]) // prettier-ignore
  expect(stdout).toContain(`atcr-hold.service: ${stated} OK`)
})

test('upcloud.md makes a server, and backs it up', async () => {
  const page = 'docs/operating/upcloud.md'
  await writeFile(machine.path('etc/os-release'), 'ID=rocky\nVERSION_ID=9.6\n')
  const env = {
    ATCR_FOLDER: machine.path('opt/atcr'),
    ATCR_UNITS: machine.path('etc/systemd/system'),
    ATCR_OS_RELEASE: machine.path('etc/os-release'),
  }
  // As if it had been cloned.
  await cp(machine.path('opt/atcr/deploy'), machine.path('opt/atcr/.git'), { recursive: true })
  await follow(page, ['The script', 'Backup'], env)
  const told = await readFile(machine.path('log'), 'utf8')
  expect(told).toContain('systemctl start atcr\n')
  for (const service of ['appview', 'hold'])
    expect(told).toMatch(new RegExp(`docker compose .* run --rm --no-deps .* ${service} backup .*/backup\n`))
  expect((await stat(machine.path('opt/atcr/deploy/.env'))).mode & 0o777).toBe(0o600)
}, 300_000)
