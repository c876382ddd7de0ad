import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { Keyring } from './keyring.ts'
import { systemProcesses } from './process-table.ts'

/** Goal: a program that will not end does not hold up docker. Method: one that passes over SIGTERM and leaves a trace at its end. */
let folder: string
const survived = () => existsSync(join(folder, 'survived'))

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atcr-hang-'))
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`)
  for (const name of ['docker-credential-hangs', 'ps']) {
    const script = `#!/bin/sh\ntrap '' TERM\nsleep 3\ntouch '${folder}/survived'\n`
    writeFileSync(join(folder, name), script)
    chmodSync(join(folder, name), 0o755)
  }
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

test('a keyring', () => {
  expect(() => new Keyring('hangs').get('key', 300)).toThrow('did not answer; is it locked?')
  expect(survived()).toBe(false)
})

test('ps', () => {
  expect(systemProcesses('darwin', 1).find(1)).toBeUndefined()
  expect(survived()).toBe(false)
})
