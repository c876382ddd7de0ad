import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { run } from '../e2e/command.ts'

/**
 * Goal: scripts that do what docs/operating/upcloud.md says, twice as well as once. Method: a machine's tools (dnf, rpm, systemctl, firewall-cmd,
 * docker) are played by small scripts that write down what they are asked and remember it, since Rocky Linux cannot be had here.
 */
const scripts = join(import.meta.dirname, '../../deploy/upcloud')
const names = ['init-upcloud.sh', 'logs.sh', 'rebuild.sh', 'get-hold-oauth.sh', 'backup.sh']

let folder: string

/** What each tool does besides writing down that it was asked; `$state` is a folder of what it remembers. */
const tools: Record<string, string> = {
  rpm: 'shift; for it; do [ -e "$state/package-$it" ] || exit 1; done',
  dnf: 'case $1 in install) shift 2; for it; do touch "$state/package-$it"; done ;; esac',
  systemctl:
    'case $1 in is-enabled|is-active) [ -e "$state/unit-${*: -1}" ] ;; enable) touch "$state/unit-${*: -1}" ;; esac',
  'firewall-cmd':
    'case $* in *--query-service=*) [ -e "$state/port-${*##*=}" ] ;; *--add-service=*) touch "$state/port-${*##*=}" ;; esac',
  git: 'case $1 in clone) mkdir -p "${*: -1}/.git" "${*: -1}/deploy"; cp -r "$REAL_DEPLOY/upcloud" "${*: -1}/deploy/"; echo APPVIEW_DOMAIN= > "${*: -1}/deploy/.env.prod.template"; touch "${*: -1}/deploy/docker-compose.prod.yml" ;; esac',
  docker: 'cat "$state/docker-output" 2>/dev/null || true',
  id: '[ "$1" = -u ] && echo 0',
  // Owners are root's to give.
  install:
    'args=(); while [ $# -gt 0 ]; do case $1 in -o|-g) shift ;; *) args+=("$1") ;; esac; shift; done; /usr/bin/install "${args[@]}"',
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-upcloud-'))
  for (const name of ['bin', 'state', 'units']) await mkdir(join(folder, name))
  for (const [name, action] of Object.entries(tools)) {
    const log = `printf '%s\\n' "${name} $*" >> ${join(folder, 'log')}`
    const path = join(folder, 'bin', name)
    await writeFile(path, `#!/bin/bash\nstate=${join(folder, 'state')}\n${log}\n${action}\n`)
    await chmod(path, 0o755)
  }
  await writeFile(join(folder, 'os-release'), 'ID="rocky"\nVERSION_ID="9.6"\nPRETTY_NAME="Rocky Linux 9.6"\n')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const play = (script: string, args: readonly string[] = [], from = scripts) =>
  run(join(from, script), args, {
    PATH: `${join(folder, 'bin')}:/usr/bin:/bin`,
    ATCR_FOLDER: join(folder, 'atcr'),
    ATCR_UNITS: join(folder, 'units'),
    ATCR_OS_RELEASE: join(folder, 'os-release'),
    REAL_DEPLOY: join(scripts, '..'),
  })

/** What the tools were asked to change since this was called last. */
async function changes(): Promise<string[]> {
  const log = join(folder, 'log')
  const text = await readFile(log, 'utf8').catch(() => '')
  await rm(log, { force: true })
  return text
    .split('\n')
    .filter((line) => line !== '' && !/^(rpm|id)|is-(enabled|active)|--query-service/.test(line))
}

test('shellcheck finds nothing', async () => {
  const files = [...names, 'compose.sh'].map((name) => join(scripts, name))
  const programs = ['atcr', 'atcr-appview', 'atcr-hold'].map((name) => join(scripts, '../bin', name))
  expect(await run('shellcheck', ['--external-sources', ...files, ...programs])).toEqual({ status: 0, stdout: '', stderr: '' })
}) // prettier-ignore

test.each(names)('%s has help, and refuses what it does not know', async (name) => {
  const help = await play(name, ['--help'])
  expect(help).toMatchObject({ status: 0, stderr: '' })
  expect(help.stdout).toContain(`Usage: ${name}`)
  const refused = await play(name, ['--frobnicate'])
  expect([refused.status, refused.stderr]).toEqual([
    2,
    expect.stringContaining('unknown option --frobnicate'),
  ])
  expect(await changes()).toEqual([])
})

describe('init-upcloud.sh', () => {
  const repository = 'https://git.example/atcr.git'

  test('makes a server, once; the second time it finds all done', async () => {
    const first = await play('init-upcloud.sh', ['--repository', repository])
    expect(first).toMatchObject({ status: 0, stderr: '' })
    const unit = join(folder, 'units/atcr.service')
    expect(await changes()).toEqual([
      'dnf install -y dnf-plugins-core firewalld git',
      'dnf config-manager --add-repo https://download.docker.com/linux/rhel/docker-ce.repo',
      'dnf install -y docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin',
      'systemctl enable --now docker.service',
      'systemctl enable --now firewalld.service',
      ...['ssh', 'http', 'https', 'http3'].map((service) => `firewall-cmd --permanent --add-service=${service}`),
      'firewall-cmd --reload',
      `git clone --branch main ${repository} ${join(folder, 'atcr')}`,
      `install -m 0600 ${join(folder, 'atcr/deploy/.env.prod.template')} ${join(folder, 'atcr/deploy/.env')}`,
      `install -m 0644 ${join(folder, 'atcr/deploy/upcloud/atcr.service')} ${unit}`,
      'systemctl daemon-reload',
      'systemctl enable atcr.service',
    ])
    const settings = join(folder, 'atcr/deploy/.env')
    expect((await stat(settings)).mode & 0o777).toBe(0o600)
    expect(await readFile(unit, 'utf8')).toBe(await readFile(join(scripts, 'atcr.service'), 'utf8'))

    await writeFile(settings, 'APPVIEW_DOMAIN=registry.example\n')
    const second = await play('init-upcloud.sh')
    expect(second).toMatchObject({ status: 0, stderr: '' })
    expect(await changes()).toEqual([])
    expect(await readFile(settings, 'utf8')).toBe('APPVIEW_DOMAIN=registry.example\n')

    // A unit that a newer version has changed is replaced, and nothing else.
    await writeFile(unit, 'old')
    await play('init-upcloud.sh')
    expect((await changes()).map((line) => line.split(' ', 2).join(' '))).toEqual(['install -m', 'systemctl daemon-reload'])
  }) // prettier-ignore

  test('a dry run says what would be done, and does nothing', async () => {
    const { status, stdout } = await play('init-upcloud.sh', ['--dry-run', '--repository', repository])
    expect(status).toBe(0)
    expect(await changes()).toEqual([])
    for (const command of ['dnf install -y docker-ce', 'firewall-cmd --permanent --add-service=https', `git clone --branch main ${repository}`, 'systemctl enable atcr.service'])
      expect(stdout).toContain(`would run: ${command}`)
    await expect(stat(join(folder, 'atcr'))).rejects.toThrow('ENOENT')
  }) // prettier-ignore

  test('stops at another system, and where it does not know what to clone', async () => {
    expect((await play('init-upcloud.sh')).stderr).toContain('--repository <url>')
    await writeFile(join(folder, 'os-release'), 'ID=debian\nVERSION_ID=13\nPRETTY_NAME="Debian 13"\n')
    const { status, stderr } = await play('init-upcloud.sh', ['--repository', repository])
    expect([status, stderr]).toEqual([1, expect.stringContaining('this is Debian 13')])
  })
})

describe('on a server', () => {
  const compose = () =>
    `docker compose --project-directory ${join(folder, 'atcr/deploy')} --file ${join(folder, 'atcr/deploy/docker-compose.prod.yml')}`

  beforeEach(async () => {
    await mkdir(join(folder, 'atcr/deploy'), { recursive: true })
    await cp(scripts, join(folder, 'atcr/deploy/upcloud'), { recursive: true })
    await writeFile(join(folder, 'atcr/deploy/docker-compose.prod.yml'), '')
  })

  test('logs.sh shows logs', async () => {
    await play('logs.sh', ['--follow', '--since', '2h', 'hold'])
    await play('logs.sh')
    expect(await changes()).toEqual([
      `${compose()} logs --timestamps --since 2h --follow hold`,
      `${compose()} logs --timestamps --since 1h`,
    ])
  })

  test('get-hold-oauth.sh prints the newest address that the hold logged', async () => {
    const line = (nonce: number) =>
      JSON.stringify({ level: 30, msg: `Visit this URL to authorize: https://pds.example/oauth/authorize?request=${nonce}&x=%3A` }) // prettier-ignore
    await writeFile(join(folder, 'state/docker-output'), `{"msg":"hold is ready"}\n${line(1)}\n${line(2)}\n{"msg":"x"}\n`)
    expect(await play('get-hold-oauth.sh')).toEqual({
      status: 0,
      stdout: 'Visit this URL to authorize: https://pds.example/oauth/authorize?request=2&x=%3A\n',
      stderr: '',
    })
    await writeFile(join(folder, 'state/docker-output'), '{"msg":"hold is ready"}\n')
    const { status, stderr } = await play('get-hold-oauth.sh')
    expect([status, stderr]).toEqual([1, expect.stringContaining('the hold has not asked')])
  }) // prettier-ignore

  test('backup.sh backs up both, the AppView first; rebuild.sh does so before it replaces them', async () => {
    const target = join(folder, 'backups')
    const backup = (blobs: string) => [
      `${compose()} run --rm --no-deps --volume ${target}/appview:/backup:Z appview backup /backup`,
      `${compose()} run --rm --no-deps --volume ${target}/hold:/backup:Z hold backup ${blobs}/backup`,
    ]
    const dockerOnly = async () => (await changes()).filter((line) => !line.startsWith('install'))
    expect(await play('backup.sh', [target])).toMatchObject({ status: 0, stderr: '' })
    expect(await dockerOnly()).toEqual(backup('--blobs '))
    await play('backup.sh', ['--no-blobs', target])
    expect(await dockerOnly()).toEqual(backup(''))
    expect((await stat(join(target, 'hold'))).mode & 0o777).toBe(0o700)

    await play('rebuild.sh', ['--no-backup'])
    const build = [`${compose()} build --pull appview hold`, `${compose()} up --detach --remove-orphans`, `${compose()} ps`]
    expect(await dockerOnly()).toEqual([`git -C ${join(folder, 'atcr')} pull --ff-only`, ...build])
    // Its own backup.sh is played by one that says that it was called.
    const own = join(folder, 'atcr/deploy/upcloud')
    await writeFile(join(own, 'backup.sh'), `#!/bin/bash\necho backed up >> ${join(folder, 'log')}\n`)
    await play('rebuild.sh', ['--no-pull'], own)
    expect(await dockerOnly()).toEqual(['backed up', ...build])
    // Nothing is replaced when the backup failed.
    await writeFile(join(own, 'backup.sh'), '#!/bin/bash\nexit 1\n')
    expect((await play('rebuild.sh', [], own)).status).toBe(1)
    expect(await dockerOnly()).toEqual([])
  }) // prettier-ignore
})
