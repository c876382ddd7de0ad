import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { readOrCreateSecretFile, writeNewFile } from './whole-file.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-whole-file-'))
  path = join(folder, 'key')
})
afterEach(() => rm(folder, { recursive: true }))

test('a file is replaced whole, with its new mode, and nothing is beside it', async () => {
  await writeFile(path, 'old', { mode: 0o644 })
  await writeNewFile(path, 'new', 0o600)
  expect(await readFile(path, 'utf8')).toBe('new')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(folder)).toEqual(['key'])
})

test('a link that waits where the draft might be gets nothing', async () => {
  const elsewhere = join(folder, 'elsewhere')
  await writeFile(elsewhere, 'another file')
  await symlink(elsewhere, `${path}.new`)
  await writeNewFile(path, 'secret', 0o600)
  expect(await readFile(elsewhere, 'utf8')).toBe('another file')
  expect((await stat(path)).isFile()).toBe(true)
})

test('what cannot have its place leaves nothing behind', async () => {
  await mkdir(path)
  await expect(writeNewFile(path, 'x', 0o600)).rejects.toThrow('EISDIR')
  expect(await readdir(folder)).toEqual(['key'])
})

test('of two that create at once, both have the same', async () => {
  const both = await Promise.all(['a', 'b'].map((text) => readOrCreateSecretFile(path, async () => text)))
  expect(both[0]).toBe(both[1])
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(folder)).toEqual(['key'])
})
