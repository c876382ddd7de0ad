import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { configureDocker, dockerConfigPath, findConfiguredHosts } from './docker-config.ts'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atcr-docker-'))
  path = join(folder, 'config.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('DOCKER_CONFIG names the folder', () => {
  expect(dockerConfigPath({ DOCKER_CONFIG: '/x' }, '/home/alice')).toBe('/x/config.json')
  expect(dockerConfigPath({ DOCKER_CONFIG: '' }, '/home/alice')).toBe('/home/alice/.docker/config.json')
})

test('where there is none, one is made for its owner', () => {
  const fresh = join(folder, 'new', 'config.json')
  expect(configureDocker(fresh, 'registry.example')).toEqual({ isChanged: true })
  expect(readFileSync(fresh, 'utf8')).toBe('{\n\t"credHelpers": {\n\t\t"registry.example": "atcr"\n\t}\n}')
  expect(statSync(fresh).mode & 0o777).toBe(0o600)
})

test.each([
  ['tabs', '{\n\t"z": 1,\n\t"auths": {\n\t\t"x": {}\n\t},\n\t"a": [\n\t\t"b"\n\t]\n}'],
  ['four spaces and an end of line', '{\n    "z": 1,\n    "a": 2\n}\n'],
  ['one line', '{"z":1,"a":2}'],
])('everything else stays, in its order and its style: %s', (_, text) => {
  writeFileSync(path, text)
  configureDocker(path, 'registry.example')
  const now = readFileSync(path, 'utf8')
  // What was there before its end is there still.
  expect(now.startsWith(text.trimEnd().slice(0, -1).trimEnd())).toBe(true)
  expect(now.endsWith('\n')).toBe(text.endsWith('\n'))
  expect(JSON.parse(now)).toEqual({ ...JSON.parse(text), credHelpers: { 'registry.example': 'atcr' } })
  expect(readdirSync(folder).sort()).toEqual(['.docker-credential-atcr.lock', 'config.json'])
})

test('other registries keep their helpers, and once is enough', () => {
  writeFileSync(path, '{"credHelpers":{"a.example":"ecr-login"}}')
  expect(configureDocker(path, 'registry.example')).toEqual({ isChanged: true })
  expect(configureDocker(path, 'registry.example')).toEqual({ isChanged: false })
  expect(configureDocker(path, 'a.example')).toEqual({ isChanged: false, helper: 'ecr-login' })
  expect(findConfiguredHosts(path)).toEqual(['registry.example'])
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ credHelpers: { 'a.example': 'ecr-login', 'registry.example': 'atcr' } }) // prettier-ignore
})

test('the mode of the file stays', () => {
  writeFileSync(path, '{}')
  chmodSync(path, 0o640)
  configureDocker(path, 'registry.example')
  expect(statSync(path).mode & 0o777).toBe(0o640)
})

test('a file kept elsewhere is changed there, and the link stays', () => {
  const real = join(folder, 'dotfiles.json')
  writeFileSync(real, '{"z":1}')
  symlinkSync(real, path)
  configureDocker(path, 'registry.example')
  expect(lstatSync(path).isSymbolicLink()).toBe(true)
  expect(JSON.parse(readFileSync(real, 'utf8'))).toEqual({
    z: 1,
    credHelpers: { 'registry.example': 'atcr' },
  })
})

test.each([
  ['half of one', '{"auths":'],
  ['a list', '[]'],
  ['text', '"x"'],
  ['credHelpers that are none', '{"credHelpers":["atcr"]}'],
])('%s is refused, and not touched', (_, text) => {
  writeFileSync(path, text)
  expect(() => configureDocker(path, 'registry.example')).toThrow('mend it first')
  expect(readFileSync(path, 'utf8')).toBe(text)
})
