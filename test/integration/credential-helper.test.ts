import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { version } from '../../src/lib/version.ts'
import { HelperProgram } from '../network/helper-program.ts'

/**
 * Goal: docker, podman and people get from the program what they expect. Method: the real program as a child process, verb
 * by verb, with good and bad input. What clients compare is in docker-credential-helpers, credentials/error.go.
 */
let helper: HelperProgram

beforeEach(async () => {
  helper = await HelperProgram.create()
})
afterEach(() => helper[Symbol.asyncDispose]())

const get = (serverUrl: string, options: Parameters<HelperProgram['run']>[1] = {}) =>
  helper.run(['get'], { ...options, input: serverUrl })
const store = (serverUrl: string, name: string, secret: string) =>
  helper.run(['store'], { input: JSON.stringify({ ServerURL: serverUrl, Username: name, Secret: secret }) })

describe('what docker asks for', () => {
  test('what is stored comes back, under every form of the address, until it is erased', async () => {
    expect(await store('https://registry.example', 'alice.example', 'secret-a')).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
    for (const serverUrl of [
      'registry.example',
      'https://registry.example/v1/',
      'https://REGISTRY.example',
    ]) {
      const { status, stdout, stderr } = await get(serverUrl)
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(JSON.parse(stdout)).toEqual({
        ServerURL: serverUrl,
        Username: 'alice.example',
        Secret: 'secret-a',
      })
    }
    expect(JSON.parse((await helper.run(['list'])).stdout)).toEqual({ 'registry.example': 'alice.example' })
    expect(await helper.run(['erase'], { input: 'registry.example' })).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
    expect(JSON.parse((await helper.run(['list'])).stdout)).toEqual({})
    expect((await get('registry.example')).stdout.trim()).toBe('credentials not found in native keychain')
  })

  test('registries with ports are different registries', async () => {
    await store('localhost:5000', 'alice.example', 'five')
    await store('localhost:6000', 'alice.example', 'six')
    expect(JSON.parse((await get('localhost:5000')).stdout)).toMatchObject({ Secret: 'five' })
    expect(JSON.parse((await get('http://localhost:6000')).stdout)).toMatchObject({ Secret: 'six' })
    expect((await get('localhost')).status).toBe(1)
  })

  test('a refresh token of docker login is kept as docker marks it', async () => {
    await store('registry.example', '<token>', 'refresh')
    expect(JSON.parse((await get('registry.example')).stdout)).toMatchObject({
      Username: '<token>',
      Secret: 'refresh',
    })
  })

  test.each([
    ['get', '', 'no credentials server URL'],
    ['get', ' \n ', 'no credentials server URL'],
    ['get', 'nowhere.example', 'credentials not found in native keychain'],
    ['get', '\u0000\u0001 garbage <>', 'credentials not found in native keychain'],
    ['get', '__proto__', 'credentials not found in native keychain'],
    ['erase', '', 'no credentials server URL'],
    ['store', '{"ServerURL":"","Username":"a","Secret":"b"}', 'no credentials server URL'],
    ['store', '{"ServerURL":"registry.example","Username":"","Secret":"b"}', 'no credentials username'],
    ['store', '{"ServerURL":"registry.example","Username":"a","Secret":""}', 'no credentials secret'],
    [
      'store',
      '{"ServerURL":"not a registry","Username":"a","Secret":"b"}',
      '"not a registry" is no registry',
    ],
    ['store', 'topsecret', 'the credentials to store are not JSON'],
    ['store', 'null', 'no credentials server URL'],
    ['store', '{"ServerURL":7}', 'no credentials server URL'],
  ])('%s of %j fails on standard output, in these words', async (verb, input, message) => {
    expect(await helper.run([verb], { input })).toEqual({ status: 1, stdout: `${message}\n`, stderr: '' })
  })

  test('what was never there is erased all the same', async () => {
    expect(await helper.run(['erase'], { input: 'nowhere.example' })).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
  })

  test.each(['get', 'store', 'erase'])('%s does not swallow whatever comes', async (verb) => {
    const { status, stdout } = await helper.run([verb], { input: randomBytes(2 * 1024 * 1024) })
    expect(status).toBe(1)
    expect(stdout).toBe('more than 65536 bytes came in\n')
  })

  test('an action nobody knows', async () => {
    const { status, stdout, stderr } = await helper.run(['frobnicate\u001b[31m'])
    expect(status).toBe(1)
    expect(stdout).toBe('docker-credential-atcr: unknown action: frobnicate [31m\n')
    expect(stderr).toContain('help')
  })

  test('eight at once lose nothing', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `account-${index}.example`)
    const results = await Promise.all(names.map((name) => store('registry.example', name, name)))
    expect(results.map(({ status }) => status)).toEqual(names.map(() => 0))
    const { registries } = (await helper.readJson('.atcr/credentials.json')) as { registries: Record<string, { accounts: { name: string }[] }> } // prettier-ignore
    expect(registries['registry.example']?.accounts.map(({ name }) => name).sort()).toEqual(names)
  })

  test('a damaged file: get says so and leaves it, store keeps it aside', async () => {
    await mkdir(join(helper.home, '.atcr'), { mode: 0o700 })
    await writeFile(join(helper.home, '.atcr/credentials.json'), '{"version":1, oops', { mode: 0o600 })
    const got = await get('registry.example')
    expect(got.status).toBe(1)
    expect(got.stdout).toContain('credentials.json is damaged')
    const { status, stderr } = await store('registry.example', 'alice.example', 'new')
    expect(status).toBe(0)
    expect(stderr).toContain('It is kept as')
    const kept = (await readdir(join(helper.home, '.atcr'))).find((name) =>
      name.includes('damaged'),
    ) as string
    expect(await readFile(join(helper.home, '.atcr', kept), 'utf8')).toBe('{"version":1, oops')
  })

  test('ATCR_CONFIG_DIR is where accounts are', async () => {
    const folder = join(helper.home, 'elsewhere')
    await helper.run(['store'], {
      input: '{"ServerURL":"registry.example","Username":"a","Secret":"b"}',
      environment: { ATCR_CONFIG_DIR: folder },
    })
    expect(await readdir(folder)).toContain('credentials.json')
    expect(await readdir(helper.home)).toEqual(['elsewhere'])
  })

  test('a file that others may read works, with a warning beside the answer', async () => {
    await store('registry.example', 'alice.example', 'secret')
    await chmod(join(helper.home, '.atcr/credentials.json'), 0o644)
    const { status, stdout, stderr } = await get('registry.example')
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ Secret: 'secret' })
    expect(stderr).toContain('chmod 600')
  })
})

describe('several accounts at one registry', () => {
  beforeEach(async () => {
    await store('registry.example', 'alice.example', 'secret-a')
    await store('registry.example', 'bob.example', 'secret-b')
  })
  const nameFor = async (options: Parameters<typeof get>[1] = {}) =>
    (JSON.parse((await get('registry.example', options)).stdout) as { Username: string }).Username

  test('the last one signed in is active', async () => {
    expect(await nameFor()).toBe('bob.example')
  })

  test.each([
    ['docker push registry.example/alice.example/app:tag', 'alice.example'],
    ['skopeo copy oci:x docker://registry.example/alice.example/app', 'alice.example'],
    ['docker push registry.example/carol.example/app', 'bob.example'],
    ['docker push other.example/alice.example/app', 'bob.example'],
  ])('%s: %s', async (line, name) => {
    expect(await nameFor({ calledBy: line.split(' ') })).toBe(name)
  })

  test('ATCR_ACCOUNT is stronger than the image, where it is known', async () => {
    const calledBy = 'docker push registry.example/alice.example/app'.split(' ')
    expect(await nameFor({ calledBy, environment: { ATCR_ACCOUNT: 'bob.example' } })).toBe('bob.example')
    expect(await nameFor({ calledBy, environment: { ATCR_ACCOUNT: 'nobody.example' } })).toBe('alice.example')
  })

  test('switch goes to the other of two, or to the one named', async () => {
    expect((await helper.run(['switch'])).stdout).toBe('alice.example is active at registry.example.\n')
    expect(await nameFor()).toBe('alice.example')
    await helper.run(['switch', 'Bob.Example'])
    expect(await nameFor()).toBe('bob.example')
    const { status, stderr } = await helper.run(['switch', 'carol.example'])
    expect(status).toBe(1)
    expect(stderr).toContain('carol.example is not signed in to registry.example; there is')
  })

  test('switch of three asks which', async () => {
    await store('registry.example', 'carol.example', 'secret-c')
    const { status, stderr } = await helper.run(['switch'])
    expect(status).toBe(1)
    expect(stderr).toContain('which one? ')
  })

  test('logout asks which, forgets the one, then all', async () => {
    const asked = await helper.run(['logout'])
    expect(asked.status).toBe(1)
    expect(asked.stderr).toContain('alice.example, bob.example')
    const { status, stdout } = await helper.run(['logout', '--handle', 'bob.example'])
    expect(status).toBe(0)
    expect(stdout).toContain('https://registry.example/settings/devices')
    expect(await nameFor()).toBe('alice.example')
    expect((await helper.run(['logout', 'registry.example', '--handle', 'bob.example'])).status).toBe(1)
    expect((await helper.run(['logout', '--all'])).status).toBe(0)
    expect((await helper.run(['logout', 'registry.example'])).stderr).toBe(
      'not signed in to registry.example\n',
    )
  })

  test('docker logout forgets them all', async () => {
    await helper.run(['erase'], { input: 'registry.example' })
    expect((await get('registry.example')).status).toBe(1)
  })

  test('status shows them, without asking where that is not wanted', async () => {
    const { status, stdout } = await helper.run(['status', '--offline'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^registry\.example/)
    expect(stdout).toContain(
      `    alice.example  not asked  (secret: ${join(helper.home, '.atcr/credentials.json')})`,
    )
    expect(stdout).toContain('  * bob.example')
    expect(stdout).not.toContain('secret-')
  })
})

describe('configure-docker', () => {
  const configure = (environment: Record<string, string> = {}) =>
    helper.run(['configure-docker', 'registry.example'], { environment })

  test('writes what docker reads, once', async () => {
    const first = await configure()
    expect(first.status).toBe(0)
    expect(first.stdout).toContain('podman, buildah and skopeo read that too, and so does nerdctl')
    expect(await helper.readJson('.docker/config.json')).toEqual({
      credHelpers: { 'registry.example': 'atcr' },
    })
    expect((await configure()).stdout).toContain('asked this program already')
  })

  test('eight at once lose nothing', async () => {
    const hosts = Array.from({ length: 8 }, (_, index) => `registry-${index}.example`)
    const results = await Promise.all(hosts.map((host) => helper.run(['configure-docker', host])))
    expect(results.map(({ status }) => status)).toEqual(hosts.map(() => 0))
    const { credHelpers } = (await helper.readJson('.docker/config.json')) as { credHelpers: object }
    expect(Object.keys(credHelpers).sort()).toEqual(hosts)
  })

  test('a file of settings that is none stays as it is', async () => {
    await mkdir(join(helper.home, '.docker'))
    await writeFile(join(helper.home, '.docker/config.json'), '{"auths": {')
    const { status, stderr } = await configure()
    expect(status).toBe(1)
    expect(stderr).toContain('it was not touched')
    expect(await readFile(join(helper.home, '.docker/config.json'), 'utf8')).toBe('{"auths": {')
  })

  test('another helper is not pushed aside', async () => {
    await mkdir(join(helper.home, '.docker'))
    await writeFile(join(helper.home, '.docker/config.json'), '{"credHelpers":{"registry.example":"pass"}}')
    const { status, stderr } = await configure()
    expect(status).toBe(1)
    expect(stderr).toContain('docker-credential-pass')
  })

  test('what podman reads before is named', async () => {
    await mkdir(join(helper.home, '.config/containers'), { recursive: true })
    await writeFile(
      join(helper.home, '.config/containers/auth.json'),
      '{"auths":{"registry.example":{"auth":"x"}}}',
    )
    expect((await configure()).stdout).toContain('podman logout registry.example')
    expect((await configure({ REGISTRY_AUTH_FILE: '/x/auth.json' })).stdout).toContain('/x/auth.json here')
  })
})

describe('a command line that teaches', () => {
  const verbs = ['login', 'logout', 'status', 'switch', 'configure-docker', 'update', 'version', 'help']

  test('without a verb: the overview, with every verb', async () => {
    const { status, stdout } = await helper.run([])
    expect(status).toBe(0)
    for (const verb of verbs) expect(stdout).toMatch(new RegExp(`^  ${verb} +[a-z]`, 'm'))
    expect((await helper.run(['--help'])).stdout).toBe(stdout)
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(120)
  })

  test.each(verbs)('%s --help has examples', async (verb) => {
    const { status, stdout } = await helper.run([verb, '--help'])
    expect(status).toBe(0)
    expect(stdout).toContain(`Usage: docker-credential-atcr ${verb}`)
    expect(stdout).toMatch(/Examples:\n {2}docker-credential-atcr /)
    expect((await helper.run(['help', verb])).stdout).toBe(stdout)
  })

  test.each([
    ['an option nobody knows', ['status', '--frobnicate']],
    ['an option without its value', ['logout', '--handle']],
    ['more than is taken', ['login', 'a.example', 'b.example']],
    ['something where nothing is taken', ['status', 'a.example']],
  ])('%s: exit code 2, and where help is', async (_, words) => {
    const { status, stderr } = await helper.run(words)
    expect(status).toBe(2)
    expect(stderr).toContain(`docker-credential-atcr ${words[0]} --help`)
  })

  test.each([['login'], ['update'], ['configure-docker']])(
    '%s without a registry anywhere asks for one',
    async (verb) => {
      const { status, stderr } = await helper.run([verb])
      expect(status).toBe(1)
      expect(stderr).toMatch(/registry/)
    },
  )

  test('version', async () => {
    const { stdout } = await helper.run(['version'])
    expect(stdout).toBe(`docker-credential-atcr ${version}\n`)
    expect((await helper.run(['--version'])).stdout).toBe(stdout)
  })

  test('update says that sources are not replaced', async () => {
    const { status, stderr } = await helper.run(['update', 'registry.example'])
    expect(status).toBe(1)
    expect(stderr).toContain('runs from its sources')
  })
})
