import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { run } from '../e2e/command.ts'

/**
 * Goal: units that systemd takes, as restricted as docs/operating/bare-metal.md says. Method: systemd's own tools, which only read, over a
 * folder that stands for a machine's root.
 */
const sources = join(import.meta.dirname, '../../deploy/systemd')
const services = ['atcr-appview', 'atcr-hold', 'atcr', 'atcr-backup@', 'atcr-backup']
/** Of 10. What is left is the network, sockets, memory for compiled JavaScript, and the machine's own root. */
const exposureMax = 1.1

let root: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'atcr-units-'))
  await cp(sources, join(root, 'etc/systemd/system'), { recursive: true })
  await cp(join(sources, '../upcloud/atcr.service'), join(root, 'etc/systemd/system/in-containers.service'))
  // What they come after and start with, and the programs that they name.
  await cp('/usr/lib/systemd/system', join(root, 'usr/lib/systemd/system'), { recursive: true, verbatimSymlinks: true })
  await writeFile(join(root, 'usr/lib/systemd/system/docker.service'), '[Service]\nExecStart=/usr/bin/docker\n')
  for (const folder of ['usr/local/bin', 'usr/bin', 'bin']) await mkdir(join(root, folder), { recursive: true })
  for (const program of ['usr/local/bin/atcr-appview', 'usr/local/bin/atcr-hold', 'usr/local/bin/atcr', 'usr/bin/install', 'usr/bin/docker', 'bin/kill'])
    await writeFile(join(root, program), '#!/bin/sh\n', { mode: 0o755 })
}) // prettier-ignore
afterAll(() => rm(root, { recursive: true, force: true }))

const verify = (unit: string) =>
  run('systemd-analyze', ['verify', `--root=${root}`, '--man=no', '--recursive-errors=no', unit])

test.each([
  'atcr-appview.service',
  'atcr-hold.service',
  'atcr.service',
  'in-containers.service',
  'atcr-backup@hold.service',
  'atcr-backup@appview.service',
  'atcr-backup@hold.timer',
  'atcr-backup.service',
  'atcr-backup.timer',
])('%s is a unit without a mistake', async (unit) => {
  expect(await verify(unit)).toEqual({ status: 0, stdout: '', stderr: '' })
}) // prettier-ignore

test('a secret may be handed over as bare-metal.md says', async () => {
  const page = await readFile(join(sources, '../../docs/operating/bare-metal.md'), 'utf8')
  const dropIn = /^```ini\n([^]*?)^```/m.exec(page)?.[1] ?? ''
  expect(dropIn).toContain('LoadCredential=')
  const folder = join(root, 'etc/systemd/system/atcr-hold.service.d')
  await mkdir(folder)
  await writeFile(join(folder, 'secret.conf'), dropIn)
  expect(await verify('atcr-hold.service')).toEqual({ status: 0, stdout: '', stderr: '' })
  await writeFile(join(folder, 'secret.conf'), dropIn.replace('LoadCredential=', 'LoadCredentials='))
  expect((await verify('atcr-hold.service')).stderr).toContain('LoadCredentials')
  await rm(folder, { recursive: true })
})

test('a mistake is seen', async () => {
  const text = await readFile(join(sources, 'atcr-hold.service'), 'utf8')
  const mistakes = { typo: ['ProtectSystem=', 'ProtectSytem='], program: ['/usr/local/bin/atcr-hold', '/usr/local/bin/nothing'] } // prettier-ignore
  for (const [name, [right, wrong]] of Object.entries(mistakes)) {
    const unit = `mistaken-${name}.service`
    await writeFile(join(root, 'etc/systemd/system', unit), text.replace(right as string, wrong as string))
    expect((await verify(unit)).stderr, name).toContain(unit)
  }
})

async function exposureOf(file: string): Promise<number> {
  const { stdout } = await run('systemd-analyze', ['security', '--offline=true', '--no-pager', file])
  return Number(/Overall exposure level for \S+: (\d+\.\d)/.exec(stdout)?.[1])
}

test.each(services)('%s may do no more than it needs', async (name) => {
  expect(await exposureOf(join(sources, `${name}.service`))).toBeLessThanOrEqual(exposureMax)
})

test('a unit that may do more is seen', async () => {
  const text = await readFile(join(sources, 'atcr-hold.service'), 'utf8')
  const loose = join(root, 'loose.service')
  await writeFile(loose, text.replaceAll(/^(CapabilityBoundingSet|NoNewPrivileges)=.*$/gm, ''))
  expect(await exposureOf(loose)).toBeGreaterThan(exposureMax + 0.5)
})

test('the restrictions of all units are the same', async () => {
  const restrictions = async (name: string) => {
    const text = await readFile(join(sources, `${name}.service`), 'utf8')
    const lines = text.slice(text.indexOf('ProtectSystem=')).split('\n\n[Install]')[0] ?? ''
    return lines.split('\n').filter((line) => /^[A-Z]\w+=/.test(line) && !line.startsWith('WantedBy='))
  }
  const expected = await restrictions('atcr-hold')
  expect(expected.length).toBeGreaterThan(25)
  for (const name of services) expect(await restrictions(name), name).toEqual(expected)
})
