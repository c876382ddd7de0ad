import { expect, test } from 'vitest'
import { z } from 'zod'

import { duration, loadSettings, secret, SettingsError, describeSettings, settingsTemplate, size } from './config.ts' // prettier-ignore

const declaration = {
  environmentPrefix: 'X_',
  legacyEnvironment: { OLD_URL: 'server.public_url' },
  schema: z.object({
    server: z
      .object({
        public_url: z.url().describe('Where others reach it.'),
        addr: z.string().default(':8080').describe('Where it listens.'),
        open: z.boolean().default(false),
      })
      .describe('The server.'),
    limits: z
      .object({
        wait: duration().prefault('15m'),
        blob: size().prefault('5GB'),
        names: z.array(z.string()).default([]),
      })
      .prefault({}),
    key: secret().optional(),
  }),
}

const load = (environment: Record<string, string>, yaml?: string) =>
  loadSettings(declaration, { environment, ...(yaml === undefined ? {} : { yaml }) })

test('environment wins over the file, the file over the defaults', () => {
  const yaml = 'server:\n  public_url: https://file.example\n  addr: ":1"\nlimits:\n  wait: 2s\n'
  const { settings } = load({ X_SERVER_ADDR: ':2', X_LIMITS_NAMES: 'a, b', X_SERVER_OPEN: 'true' }, yaml)
  expect(settings.server).toEqual({ public_url: 'https://file.example', addr: ':2', open: true })
  expect(settings.limits).toEqual({ wait: 2000, blob: 5e9, names: ['a', 'b'] })
})

test('every problem is told at once', () => {
  let text = ''
  try {
    load({ X_SERVER_OPEN: 'maybe', X_LIMITS_BLOB: 'huge' }, 'serve: 1\n')
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError)
    text = (error as SettingsError).message
  }
  for (const part of [
    'X_SERVER_PUBLIC_URL',
    'server.open',
    'limits.blob',
    'a size such as 5GB',
    'serve: unknown',
  ]) {
    expect(text).toContain(part)
  }
})

test('an older environment name works and says so', () => {
  const { settings, notices } = load({ OLD_URL: 'https://old.example' })
  expect(settings.server.public_url).toBe('https://old.example')
  expect(notices).toEqual(['OLD_URL is an older name of X_SERVER_PUBLIC_URL'])
})

test('the template names every setting and reads back as the defaults', () => {
  const template = settingsTemplate(declaration, 'Settings of X')
  const settings = describeSettings(declaration)
  expect(settings.map(({ path }) => path)).toContain('limits.wait')
  for (const { environment } of settings) expect(template).toContain(environment)
  expect(settings.filter(({ isRequired }) => isRequired).map(({ path }) => path)).toEqual([
    'server.public_url',
  ])
  const read = load({}, template.replace(/public_url:.*/, 'public_url: https://x.example')) // prettier-ignore
  expect(read.settings.limits).toEqual({ wait: 900_000, blob: 5e9, names: [] })
})

test('a secret never prints', () => {
  const { settings } = load({ X_SERVER_PUBLIC_URL: 'https://x.example', X_KEY: 'hunter2' })
  expect(JSON.stringify(settings)).not.toContain('hunter2')
  expect(String(settings.key)).toBe('[redacted]')
  expect(settings.key?.reveal()).toBe('hunter2')
})
