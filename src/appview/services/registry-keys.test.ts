import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { X509Certificate } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { decodeProtectedHeader, SignJWT } from 'jose'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { logger } from '../../lib/log.ts'
import { readRegistryKey, rotateRegistryKey } from './key-files.ts'
import { keyId, keyOverlapSeconds, keyReadSeconds, RegistryKeys } from './registry-keys.ts'
import { RegistryTokens } from './registry-tokens.ts'

let folder: string
let nowMs: number
let paths: { key: string; certificate: string }
const now = () => new Date(nowMs)
const log = Object.assign(logger('test'), { level: 'silent' })
const commonName = 'registry.test'

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-keys-'))
  paths = { key: join(folder, 'private-key.pem'), certificate: join(folder, 'private-key.crt') }
  nowMs = Date.parse('2026-01-01T00:00:00Z')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** An instance of the AppView, with keys of its own over the folder that all share. */
async function instance(): Promise<RegistryTokens> {
  const keys = await RegistryKeys.open({ paths, commonName, now, log })
  return new RegistryTokens({ keys, service: commonName, now })
}

const mint = async (tokens: RegistryTokens) => (await tokens.mint({ did: 'did:plc:alice', access: [] })).token
const verdict = (tokens: RegistryTokens, token: string) =>
  tokens.verify(token).then(
    () => 'ok',
    (error: { code?: string }) => error.code,
  )
const rotate = (isCompromised = false) => rotateRegistryKey(paths, { commonName, now: now(), isCompromised })

test('a token from before a rotation is good after it, until it expires; new ones have the new key', async () => {
  const [one, other] = [await instance(), await instance()]
  const before = await mint(one)
  const { key } = await rotate()
  nowMs += keyReadSeconds * 1000
  const after = await mint(one)
  expect(decodeProtectedHeader(after).kid).toBe(keyId(key))
  expect(decodeProtectedHeader(before).kid).not.toBe(keyId(key))
  for (const tokens of [one, other, await instance()])
    for (const token of [before, after]) expect(await verdict(tokens, token)).toBe('ok')
  nowMs += 271_000
  expect(await verdict(one, before)).toBe('token_invalid')
})

test('an instance that has not looked yet takes the other’s new tokens, and goes on signing with the old key', async () => {
  const slow = await instance()
  await rotate()
  const quick = await instance()
  nowMs += 1000
  const old = await mint(slow)
  expect(await verdict(slow, await mint(quick))).toBe('ok')
  expect(await verdict(quick, old)).toBe('ok')
})

test('the old key ends, whatever its tokens say', async () => {
  const tokens = await instance()
  const old = await readRegistryKey(paths.key)
  await rotate()
  const forged = new SignJWT({ access: [] })
    .setProtectedHeader({ alg: 'RS256', kid: keyId(old) })
    .setIssuer(commonName)
    .setAudience(commonName)
    .setSubject('did:plc:alice')
    .setNotBefore(0)
    .setJti('x')
  const inAYear = await forged.setExpirationTime(nowMs / 1000 + 31_536_000).sign(old)
  nowMs += 1000 * (keyOverlapSeconds - 1)
  expect(await verdict(tokens, inAYear)).toBe('ok')
  // What was verified is remembered, for a minute.
  nowMs += 62_000
  expect(await verdict(tokens, inAYear)).toBe('token_invalid')
  expect(await verdict(await instance(), inAYear)).toBe('token_invalid')
})

test('a compromised key is refused as soon as the instances look', async () => {
  const tokens = await instance()
  const before = await mint(tokens)
  await rotate(true)
  expect(await verdict(await instance(), before)).toBe('token_invalid')
  nowMs += keyReadSeconds * 1000
  expect(await verdict(tokens, before)).toBe('token_invalid')
  expect(await verdict(tokens, await mint(tokens))).toBe('ok')
})

test('the certificate goes along, also when a rotation was cut off before it', async () => {
  await instance()
  const certificate = async () => new X509Certificate(await readFile(paths.certificate))
  await rotate()
  expect((await certificate()).checkPrivateKey(await readRegistryKey(paths.key))).toBe(true)
  const between = await readFile(paths.certificate)
  nowMs += 1000
  await rotate()
  await writeFile(paths.certificate, between)
  await instance()
  expect((await certificate()).checkPrivateKey(await readRegistryKey(paths.key))).toBe(true)
  expect((await readdir(folder)).filter((name) => name.startsWith('private-key.pem'))).toHaveLength(3)
})

test('names nobody knows cost no look each, and a folder that is gone stops nothing', async () => {
  const keys = await RegistryKeys.open({ paths, commonName, now, log })
  const { id } = await keys.current()
  await rm(folder, { recursive: true })
  nowMs += keyReadSeconds * 1000
  for (const name of ['', '../../dev/null', 'x'.repeat(10_000), '__proto__'])
    expect(await keys.find(name)).toBeUndefined()
  expect((await keys.current()).id).toBe(id)
  expect(await keys.find(id)).toBeDefined()
})
