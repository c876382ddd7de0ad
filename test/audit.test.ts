import { readFileSync } from 'node:fs'

import { expect, test } from 'vitest'

import { auditLock, type LockFile, type PackageFile } from '../scripts/audit-lock.ts'

/** Goal: what is installed is what was read. Method: `npm run audit` without its question to the registry. */

const npmrc = readFileSync('.npmrc', 'utf8')
const read = () => ({
  file: JSON.parse(readFileSync('package.json', 'utf8')) as PackageFile,
  lock: JSON.parse(readFileSync('package-lock.json', 'utf8')) as LockFile,
})

test('the lock file of this project has no problems', () => {
  const { file, lock } = read()
  expect(Object.keys(lock.packages).length).toBeGreaterThan(100)
  expect(auditLock(file, lock, npmrc)).toEqual([])
})

const hono = 'node_modules/hono'
const changes: [what: string, change: (parts: ReturnType<typeof read>) => void][] = [
  ['a version that floats', ({ file }) => Object.assign(file.dependencies ?? {}, { hono: '^4.0.0' })],
  ['one of a branch', ({ file }) => Object.assign(file.dependencies ?? {}, { hono: 'github:honojs/hono' })],
  ['another than is locked', ({ file }) => Object.assign(file.dependencies ?? {}, { hono: '4.0.0' })],
  ['an override that floats', ({ file }) => Object.assign(file.overrides ?? {}, { x: '*' })],
  ['no hash', ({ lock }) => delete lock.packages[hono]?.integrity],
  ['a weak hash', ({ lock }) => Object.assign(lock.packages[hono] ?? {}, { integrity: 'sha1-abc' })],
  ['another registry', ({ lock }) => Object.assign(lock.packages[hono] ?? {}, { resolved: 'https://evil.example/hono.tgz' })], // prettier-ignore
  ['a folder', ({ lock }) => Object.assign(lock.packages[hono] ?? {}, { link: true })],
  ['a script', ({ lock }) => Object.assign(lock.packages[hono] ?? {}, { hasInstallScript: true })],
  [
    'a licence that asks for more',
    ({ lock }) => Object.assign(lock.packages[hono] ?? {}, { license: 'GPL-3.0' }),
  ],
  ['no licence', ({ lock }) => delete lock.packages[hono]?.license],
  ['one of two that are both needed', ({ lock }) => Object.assign(lock.packages[hono] ?? {}, { license: 'MIT AND AGPL-3.0' })], // prettier-ignore
  ['a tool’s licence in what is shipped', ({ lock }) => Object.assign(lock.packages[hono] ?? {}, { license: 'MPL-2.0' })], // prettier-ignore
]

test.each(changes)('%s would be seen', (_, change) => {
  const parts = read()
  change(parts)
  expect(auditLock(parts.file, parts.lock, npmrc)).not.toEqual([])
})

test('and so would scripts that are allowed to run', () => {
  const { file, lock } = read()
  expect(auditLock(file, lock, 'save-exact=true\n')).toHaveLength(1)
})
