import { spawnSync } from 'node:child_process'
import { chown, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { run } from '../e2e/command.ts'
import { findFreePort } from '../network/listening.ts'

/**
 * Goal: the programs live with what their units forbid. Method: the same restrictions, read from the unit and made by runc, since systemd
 * does not run here: another user, no capabilities, a file system to read only, and the system calls that systemd's own list allows.
 */
const project = join(import.meta.dirname, '../..')
const user = 990

let folder: string
let unit: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-restrictions-'))
  unit = await readFile(join(project, 'deploy/systemd/atcr-hold.service'), 'utf8')
  for (const name of ['rootfs/usr', 'rootfs/proc', 'rootfs/dev', 'rootfs/sys', 'rootfs/etc', 'rootfs/tmp', 'rootfs/var/lib/atcr-hold', `rootfs${project}`, 'state', 'data'])
    await mkdir(join(folder, name), { recursive: true })
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) await symlink(`usr/${name}`, join(folder, 'rootfs', name))
  await chown(join(folder, 'data'), user, user)
}) // prettier-ignore
afterAll(() => rm(folder, { recursive: true, force: true }))

const valuesOf = (name: string) =>
  [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value as string)

/** System calls of one of systemd's sets, with those of the sets within it. */
function membersOf(set: string): string[] {
  const { stdout } = spawnSync('systemd-analyze', ['syscall-filter', '--no-pager', set], { encoding: 'utf8' })
  const names = stdout.split('\n').slice(1).map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#')) // prettier-ignore
  return names.flatMap((name) => (name.startsWith('@') ? membersOf(name) : [name]))
}

function allowedCalls(): string[] {
  const allowed = new Set(membersOf('@default'))
  for (const line of valuesOf('SystemCallFilter')) {
    const isDenied = line.startsWith('~')
    for (const set of line.replace('~', '').split(' ')) {
      for (const name of membersOf(set)) {
        if (isDenied) allowed.delete(name)
        else allowed.add(name)
      }
    }
  }
  return [...allowed]
}

const architectures = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64']
const allowOnly = (names: string[]) => ({
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 1,
  architectures,
  syscalls: [
    { names: names.filter((name) => name !== 'socket'), action: 'SCMP_ACT_ALLOW' },
    ...(valuesOf('RestrictAddressFamilies')[0] ?? '').split(' ').map((family) => ({
      names: ['socket'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: addressFamilies[family], op: 'SCMP_CMP_EQ' }],
    })),
  ],
})
/** As Linux numbers them. */
const addressFamilies: Record<string, number> = { AF_UNIX: 1, AF_INET: 2, AF_INET6: 10 }

/** What systemd makes of MemoryDenyWriteExecute=yes. */
const [writable, executable, protectionIndex] = [2, 4, 2]
const denyWriteExecute = () => {
  const has = (bits: number) => [{ index: protectionIndex, value: bits, valueTwo: bits, op: 'SCMP_CMP_MASKED_EQ' }] // prettier-ignore
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures,
    syscalls: [
      { names: ['mmap'], action: 'SCMP_ACT_ERRNO', args: has(writable | executable) },
      { names: ['mprotect', 'pkey_mprotect'], action: 'SCMP_ACT_ERRNO', args: has(executable) },
    ],
  }
}

/** Runs a shell script as the unit would run its program. */
async function runRestricted(script: string, seccomp: object = allowOnly(allowedCalls())) {
  const bundle = await mkdtemp(join(folder, 'bundle-'))
  const readOnly = (source: string) => ({
    destination: source,
    source,
    type: 'bind',
    options: ['rbind', 'ro'],
  })
  const config = {
    ociVersion: '1.0.2',
    root: { path: join(folder, 'rootfs'), readonly: valuesOf('ProtectSystem')[0] === 'strict' },
    process: {
      user: { uid: user, gid: user, umask: Number.parseInt(valuesOf('UMask')[0] ?? '', 8) },
      cwd: '/var/lib/atcr-hold',
      args: ['/bin/sh', '-c', script],
      env: ['PATH=/usr/bin:/bin'],
      noNewPrivileges: valuesOf('NoNewPrivileges')[0] === 'yes',
      // CapabilityBoundingSet= is empty.
      capabilities: {},
    },
    mounts: [
      // ProcSubset=pid and ProtectProc=invisible.
      { destination: '/proc', type: 'proc', source: 'proc', options: ['subset=pid', 'hidepid=2'] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs' },
      ...['/usr', project].map(readOnly),
      { destination: '/var/lib/atcr-hold', source: join(folder, 'data'), type: 'bind', options: ['rbind', 'rw'] },
    ],
    linux: {
      namespaces: ['mount', 'ipc', 'uts', 'pid'].map((type) => ({ type })),
      seccomp,
    },
  } // prettier-ignore
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config))
  return run('runc', ['--root', join(folder, 'state'), 'run', '--bundle', bundle, `atcr-test-${process.pid}-${bundle.slice(-6)}`]) // prettier-ignore
}

test('a hold starts, answers and stops with what its unit allows', async () => {
  const port = await findFreePort()
  const settings = {
    server: { addr: `127.0.0.1:${port}`, public_url: `http://localhost:${port}`, test_mode: true },
    registration: { owner_did: 'did:plc:abcdefghijklmnopqrstuvwx' },
    database: { path: '/var/lib/atcr-hold/hold.db', plc_directory_url: 'http://127.0.0.1:9' },
  }
  await writeFile(join(folder, 'data/hold.yaml'), JSON.stringify(settings), { mode: 0o644 })
  const hold = join(project, 'deploy/bin/atcr-hold')
  const { stdout, stderr } = await runRestricted(`
    grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/self/status
    ${hold} serve --config hold.yaml & pid=$!
    for i in $(seq 60); do sleep 1; ${hold} healthcheck http://127.0.0.1:${port} 2>/dev/null && echo healthy && break; done
    ${hold} backup --blobs /var/lib/atcr-hold/backup --config hold.yaml
    kill $pid; wait $pid; echo "ended with $?"`)
  expect(stdout, stderr).toMatch(/Uid:\s+990\s+990/)
  expect(stdout).toMatch(/CapEff:\s+0000000000000000\n/)
  expect(stdout).toMatch(/NoNewPrivs:\s+1\n/)
  expect(stdout).toMatch(/Seccomp:\s+2\n/)
  expect(stdout, stderr).toContain('healthy')
  expect(stdout).toContain('Backup of did:web:localhost')
  expect(stdout).toContain('ended with 0')
}, 300_000)

const node = join(project, 'node_modules/.bin/node')

test('what the unit forbids is forbidden here too', async () => {
  const { stdout } = await runRestricted(`
    touch /etc/x 2>/dev/null || echo 'no writing elsewhere'
    touch /var/lib/atcr-hold/x && stat -c %a /var/lib/atcr-hold/x
    ${node} -e 'require("os").setPriority(0, 5)' 2>/dev/null || echo 'no priorities'
    ${node} -e 'require("os").networkInterfaces()' 2>/dev/null || echo 'no netlink'
    test -e /proc/self/status && ! test -e /proc/meminfo && echo 'own processes only'`)
  const forbidden = ['no writing elsewhere', '600', 'no priorities', 'no netlink', 'own processes only']
  expect(stdout.split('\n').slice(0, -1)).toEqual(forbidden)
})

test('MemoryDenyWriteExecute= is off because Node does not start with it, and --jitless takes WebAssembly away', async () => {
  expect(valuesOf('MemoryDenyWriteExecute')).toEqual(['no'])
  const { stdout } = await runRestricted(
    `${node} -p '"started"' 2>/dev/null; ${node} --jitless -p 'typeof WebAssembly'`,
    denyWriteExecute(),
  )
  expect(stdout).toBe('undefined\n')
  expect((await runRestricted(`${node} -p 'typeof WebAssembly'`)).stdout).toBe('object\n')
})
