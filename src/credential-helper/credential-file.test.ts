import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { CredentialFile, UnsafeFileError } from './credential-file.ts'
import { DamagedFileError, NewerFileError } from './credential-format.ts'
import { credentialWriter } from './credential-writer.ts'
import { withAccount, withoutAccount } from './credentials.ts'

const registry = { host: 'registry.example', origin: 'https://registry.example' }
const alice = { name: 'alice.example', did: 'did:plc:alice', secret: 'atcr_device_alice' }
const bob = { name: 'bob.example', keyring: 'secretservice' }

let home: string
let warnings: string[]

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'atcr-helper-'))
  warnings = []
})
afterEach(() => rmSync(home, { recursive: true }))

const fileIn = (folder: string, userId = process.getuid?.()) =>
  new CredentialFile({ folder, warn: (line) => warnings.push(line), userId })
const add = (file: CredentialFile, account: typeof alice | typeof bob) =>
  file.change((credentials) => withAccount(credentials, registry, account), credentialWriter)

describe('a file of accounts', () => {
  test('keeps what is put in, for its owner only', () => {
    const file = fileIn(join(home, '.atcr'))
    expect(file.read().size).toBe(0)
    add(file, alice)
    add(file, bob)
    expect(file.read().get('registry.example')).toEqual({
      ...registry,
      active: 'bob.example',
      accounts: [alice, bob],
    })
    expect(statSync(file.folder).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(file.folder))
      expect(statSync(join(file.folder, name)).mode & 0o777).toBe(0o600)
    expect(readdirSync(file.folder).sort()).toEqual(['credentials.json', 'lock'])
    expect(warnings).toEqual([])
  })

  test('an account is replaced, whatever case its name is written in', () => {
    const file = fileIn(home)
    add(file, alice)
    add(file, { ...alice, name: 'Alice.Example', secret: 'new' })
    expect(file.read().get('registry.example')?.accounts).toEqual([
      { ...alice, name: 'Alice.Example', secret: 'new' },
    ])
  })

  test('names that objects know by themselves are names like others', () => {
    const file = fileIn(home)
    const host = '__proto__'
    file.change(
      (all) => withAccount(all, { host, origin: 'https://x' }, { ...alice, name: 'constructor' }),
      credentialWriter,
    )
    expect(file.read().get(host)?.accounts).toEqual([{ ...alice, name: 'constructor' }])
  })

  test('when the active one goes, the first of the rest is active; the last one takes the registry along', () => {
    const file = fileIn(home)
    add(file, alice)
    add(file, bob)
    file.change((all) => withoutAccount(all, registry.host, bob.name), credentialWriter)
    expect(file.read().get('registry.example')?.active).toBe('alice.example')
    file.change((all) => withoutAccount(all, registry.host, alice.name), credentialWriter)
    expect(file.read().size).toBe(0)
  })

  test('a change that fails leaves it as it was, and nothing beside it', () => {
    const file = fileIn(home)
    add(file, alice)
    const before = readFileSync(file.path, 'utf8')
    const failing = () => file.change(() => { throw new Error('no') }, credentialWriter) // prettier-ignore
    expect(failing).toThrow('no')
    expect(readFileSync(file.path, 'utf8')).toBe(before)
    add(file, bob)
    expect(readdirSync(home).sort()).toEqual(['credentials.json', 'lock'])
  })
})

describe('what an earlier helper left', () => {
  const older = {
    credentials: { 'https://registry.example': { handle: 'alice.example', device_secret: 'old' } },
  }

  test('counts until something is stored, is taken along then, and stays as it is', () => {
    writeFileSync(join(home, 'device.json'), JSON.stringify(older), { mode: 0o600 })
    const file = fileIn(home)
    expect(file.read().get('registry.example')?.accounts).toEqual([{ name: 'alice.example', secret: 'old' }])
    add(file, bob)
    expect(file.read().get('registry.example')?.accounts).toHaveLength(2)
    expect(JSON.parse(readFileSync(join(home, 'device.json'), 'utf8'))).toEqual(older)
  })

  test('a damaged one is told, and passed over', () => {
    writeFileSync(join(home, 'device.json'), '{', { mode: 0o600 })
    const file = fileIn(home)
    add(file, alice)
    expect(file.read().get('registry.example')?.accounts).toEqual([alice])
    expect(warnings.join()).toContain('device.json is damaged')
    expect(readFileSync(join(home, 'device.json'), 'utf8')).toBe('{')
  })

  test('what was logged out does not come back from it', () => {
    writeFileSync(join(home, 'device.json'), JSON.stringify(older), { mode: 0o600 })
    const file = fileIn(home)
    file.change((all) => withoutAccount(all, registry.host, 'alice.example'), credentialWriter)
    expect(file.read().size).toBe(0)
  })
})

describe('a file that is not as it should be', () => {
  test.each([
    ['no JSON', '{"version":1,'],
    ['no object', '[]'],
    ['no version', '{"registries":{}}'],
    ['no registries', '{"version":1}'],
    ['a registry that is text', '{"version":1,"registries":{"x":"y"}}'],
    ['accounts that are none', '{"version":1,"registries":{"x":{"origin":"","active":"","accounts":{}}}}'],
    [
      'an account without a secret',
      '{"version":1,"registries":{"x":{"origin":"","active":"","accounts":[{"name":"a"}]}}}',
    ],
    ['nothing', ''],
  ])('%s: it is said, and kept aside before anything is written', (_, text) => {
    const file = fileIn(home)
    writeFileSync(file.path, text, { mode: 0o600 })
    expect(() => file.read()).toThrow(DamagedFileError)
    expect(readFileSync(file.path, 'utf8')).toBe(text)
    add(file, alice)
    expect(file.read().get('registry.example')?.accounts).toEqual([alice])
    const aside = readdirSync(home).find((name) => name.includes('damaged')) as string
    expect(readFileSync(join(home, aside), 'utf8')).toBe(text)
    expect(warnings.join()).toContain(aside)
  })

  test('the complaint quotes nothing of it', () => {
    const file = fileIn(home)
    writeFileSync(file.path, '{"secret": "atcr_device_s3cret" oops', { mode: 0o600 })
    expect(() => file.read()).toThrow(/^(?!.*s3cret)/)
  })

  test('one of a later version is not touched', () => {
    const file = fileIn(home)
    writeFileSync(file.path, '{"version":2,"registries":{}}', { mode: 0o600 })
    expect(() => file.read()).toThrow(NewerFileError)
    expect(() => add(file, alice)).toThrow(NewerFileError)
    expect(readFileSync(file.path, 'utf8')).toContain('"version":2')
  })

  test('one that is far too large is not read', () => {
    const file = fileIn(home)
    writeFileSync(file.path, 'x'.repeat(2 * 1024 * 1024), { mode: 0o600 })
    expect(() => file.read()).toThrow(DamagedFileError)
  })
})

describe('a file others can reach', () => {
  test('read by others: it works, and says so', () => {
    const file = fileIn(home)
    add(file, alice)
    chmodSync(file.path, 0o644)
    expect(file.read().size).toBe(1)
    expect(warnings.join()).toContain('chmod 600')
    add(file, bob)
    expect(statSync(file.path).mode & 0o777).toBe(0o600)
  })

  test('a folder that others may write to is refused', () => {
    const file = fileIn(home)
    add(file, alice)
    chmodSync(home, 0o777)
    expect(() => file.read()).toThrow(UnsafeFileError)
    expect(() => add(file, bob)).toThrow(UnsafeFileError)
  })

  test('nothing is made through a lock that is a link, in a folder of others or in our own', () => {
    const elsewhere = join(home, 'elsewhere')
    const folder = join(home, 'folder')
    mkdirSync(folder)
    symlinkSync(elsewhere, join(folder, 'lock'))
    chmodSync(folder, 0o777)
    expect(() => add(fileIn(folder), alice)).toThrow(UnsafeFileError)
    expect(existsSync(elsewhere)).toBe(false)
    chmodSync(folder, 0o700)
    expect(() => add(fileIn(folder), alice)).toThrow('ELOOP')
    expect(existsSync(elsewhere)).toBe(false)
  })

  test('a symbolic link is not followed, neither to read nor to write', () => {
    const elsewhere = join(home, 'elsewhere.json')
    writeFileSync(elsewhere, '{"version":1,"registries":{}}', { mode: 0o600 })
    mkdirSync(join(home, 'folder'), { mode: 0o700 })
    const file = fileIn(join(home, 'folder'))
    symlinkSync(elsewhere, file.path)
    expect(() => file.read()).toThrow(UnsafeFileError)
    expect(() => add(file, alice)).toThrow(UnsafeFileError)
    expect(readFileSync(elsewhere, 'utf8')).toBe('{"version":1,"registries":{}}')
  })

  test('the file of another user is refused', () => {
    const file = fileIn(home)
    add(file, alice)
    const stranger = fileIn(home, (process.getuid?.() ?? 0) + 1)
    expect(() => stranger.read()).toThrow('belongs to another user')
  })

  test('something that is no file is refused', () => {
    const file = fileIn(home)
    mkdirSync(file.path)
    expect(() => file.read()).toThrow(UnsafeFileError)
  })
})
