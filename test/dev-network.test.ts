import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { openDataFolder } from '../scripts/dev/data-folder.ts'
import { parseDevOptions, type DevOptions } from '../scripts/dev/options.ts'

/** Goal: `npm start` does what was asked or says what is wrong. Method: its options and its data folder alone. */
const parse = (...argv: string[]) => parseDevOptions(argv) as DevOptions

describe('the options of npm start', () => {
  test('have the documented defaults', () => {
    expect(parse()).toMatchObject({
      folder: './data',
      isFresh: false,
      hasDemoPush: true,
      storage: 'filesystem',
    })
    expect(parse().ports).toEqual({
      appview: 5000,
      hold: 8080,
      pds: 2583,
      plc: 2582,
      jetstream: 6008,
      s3: 9000,
    })
  })

  test('--port-base puts the ports in a row', () => {
    expect(parse('--port-base', '7000').ports).toEqual({ appview: 7000, hold: 7001, pds: 7002, plc: 7003, jetstream: 7004, s3: 7005 }) // prettier-ignore
  })

  test.each([
    [['--port-base', 'x'], '--port-base must be a number from 1 to 65530'],
    [['--port-base', '65531'], '--port-base must be a number'],
    [['--storage', 'tape'], '--storage must be one of filesystem, s3, not "tape"'],
    [['--nope'], "Unknown option '--nope'. See `npm start -- --help`."],
    [['--data'], "Option '--data <value>' argument missing. See"],
    [['word'], "Unexpected argument 'word'"],
  ])('%j is refused with a sentence', (argv, message) => {
    expect(() => parse(...argv)).toThrow(message)
  })
})

describe('the data folder', () => {
  let folder: string
  const open = (over: Partial<DevOptions> = {}) => openDataFolder({ ...parse('--data', folder), ...over })

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atcr-data-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('is taken when empty, and kept from then on', async () => {
    await open()
    await mkdir(join(folder, 'pds'))
    await open()
    expect(await readdir(folder)).toEqual(['dev-network.json', 'pds'])
  })

  test('is left alone when it is somebody else’s, even with --fresh', async () => {
    await writeFile(join(folder, 'thesis.txt'), 'years of work')
    for (const isFresh of [false, true]) {
      await expect(open({ isFresh })).rejects.toThrow('holds something else than a dev network')
    }
    expect(await readdir(folder)).toEqual(['thesis.txt'])
  })

  test('--fresh removes only what a dev network makes', async () => {
    await open()
    await mkdir(join(folder, 'pds'))
    await writeFile(join(folder, 'notes.txt'), 'mine')
    await open({ isFresh: true })
    expect(await readdir(folder)).toEqual(['dev-network.json', 'notes.txt'])
  })

  test('says when its data belong to other ports, another storage or another version', async () => {
    await open()
    await expect(open({ ports: parse('--port-base', '7000').ports })).rejects.toThrow('belong to a network on the default ports') // prettier-ignore
    await expect(open({ storage: 's3' })).rejects.toThrow('were made with --storage filesystem')
    await writeFile(join(folder, 'dev-network.json'), '{"kind":"atcr dev network","version":0}')
    await expect(open()).rejects.toThrow('are of version 0, this is version 1')
    await open({ isFresh: true, storage: 's3' })
  })
})
