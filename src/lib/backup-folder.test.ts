import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { BackupError, findBackup, restoreFile, verifyBackup, writeBackup } from './backup-folder.ts'

/** Goal: a folder of backups is whole at any moment, and says so. Method: writes that are cut off, and files that were changed. */
let folder: string
const origin = {
  program: 'a program',
  identity: 'host.example',
  version: '1',
  createdAt: '2026-01-01T00:00:00Z',
}

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'atcr-backup-folder-')), 'backup')
})
afterEach(() => rm(join(folder, '..'), { recursive: true, force: true }))

const source = (name: string, text: string) => ({ name, write: (path: string) => writeFile(path, text) })

test('what was written is listed, unchanged, and its owner’s alone', async () => {
  const list = await writeBackup(folder, origin, [source('a.db', 'rows'), source('keys/b.key', 'key')])
  expect(await findBackup(folder)).toEqual(list)
  expect(list).toMatchObject({ ...origin, files: [{ name: 'a.db', sizeBytes: 4 }, { name: 'keys/b.key' }] })
  await verifyBackup(folder, list)
  for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
  expect((await stat(folder)).mode & 0o777).toBe(0o700)
})

test('the next one takes its place, and leaves what is not ours', async () => {
  await writeBackup(folder, origin, [source('a.db', 'old rows')])
  await writeFile(join(folder, 'note.txt'), 'mine')
  const list = await writeBackup(folder, origin, [source('a.db', 'new rows')])
  const names = new Set(await readdir(folder))
  expect(names).toEqual(new Set(['backup-list.json', list.files[0]?.stored, 'note.txt']))
  await verifyBackup(folder, list)
})

test('one that is cut off leaves the one before whole', async () => {
  const earlier = await writeBackup(folder, origin, [source('a.db', 'rows'), source('b.key', 'key')])
  const cutOff = { name: 'b.key', write: () => Promise.reject(new Error('the power went')) }
  await expect(writeBackup(folder, origin, [source('a.db', 'other rows'), cutOff])).rejects.toThrow('the power went')
  expect(await findBackup(folder)).toEqual(earlier)
  await verifyBackup(folder, earlier)
  // What it left goes with the next that is written.
  await writeBackup(folder, origin, [source('a.db', 'rows')])
  expect(await readdir(folder)).toHaveLength(2)
}) // prettier-ignore

test('every file that is missing or changed is named', async () => {
  const list = await writeBackup(folder, origin, [
    source('a.db', 'rows'),
    source('b.key', 'key'),
    source('c', 'c'),
  ])
  const [database, key] = list.files.map(({ stored }) => stored) as [string, string]
  await writeFile(join(folder, database), 'rowz')
  await rm(join(folder, key))
  const failure = await verifyBackup(folder, list).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(BackupError)
  expect(String(failure)).toContain(`${database} is not what was written; ${key} is missing`)
})

test.each([
  ['no JSON', '{'],
  ['of another form', '{"did":"did:web:hold.example"}'],
  ['naming files elsewhere', JSON.stringify({ ...origin, files: [{ name: 'a', stored: '../../etc/passwd', sizeBytes: 1, sha256: '' }] })],
])('a list that is %s is refused', async (_, text) => {
  await mkdir(folder)
  await writeFile(join(folder, 'backup-list.json'), text)
  await expect(findBackup(folder)).rejects.toThrow(BackupError)
}) // prettier-ignore

test('a file is put back once, and never over another', async () => {
  const { files } = await writeBackup(folder, origin, [source('b.key', 'key')])
  const path = join(folder, '../data/keys/b.key')
  await restoreFile(folder, files[0] as (typeof files)[0], path)
  expect(await readFile(path, 'utf8')).toBe('key')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  await writeFile(path, 'another')
  await expect(restoreFile(folder, files[0] as (typeof files)[0], path)).rejects.toThrow('EEXIST')
  expect(await readFile(path, 'utf8')).toBe('another')
  expect(await readdir(join(path, '..'))).toEqual(['b.key'])
})
