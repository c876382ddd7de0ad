import fc from 'fast-check'
import { expect, test } from 'vitest'

import { serverConfig } from '../../../../test/e2e/manifest-rows.ts'
import { readImageConfig } from './image-config.ts'

const read = (value: unknown) => readImageConfig(new TextEncoder().encode(JSON.stringify(value)))

test('what BuildKit writes is read', () => {
  expect(read(serverConfig)).toMatchObject({
    platform: 'linux/amd64',
    entrypoint: '["/usr/local/bin/hello", "--config", "/etc/hello/config.toml"]',
    cmd: '["serve"]',
    user: '1000:1000',
    workdir: '/srv',
    stopSignal: 'SIGTERM',
    healthcheck: 'curl -f http://localhost:8080/health || exit 1 (every 30 s, at most 3 s)',
    ports: { items: ['8080/tcp', '9090/tcp'], moreCount: 0 },
    volumes: { items: ['/data'], moreCount: 0 },
    createdAt: new Date('2026-11-20T08:30:12.5Z'),
  })
  expect(read(serverConfig)?.env.items[1]).toEqual({ name: 'RUST_LOG', text: 'info' })
  expect(read(serverConfig)?.history.map(({ isEmpty }) => isEmpty)).toEqual([
    false, true, true, false, false, false, false, true, true,
  ]) // prettier-ignore
})

test.each([
  ['nothing', ''],
  ['no JSON', '{"os":'],
  ['a list', '[]'],
  ['a text', '"linux"'],
  ['null', 'null'],
  ['no UTF-8', Uint8Array.of(0x22, 0xff, 0x22)],
])('%s is no config', (_name, bytes) => {
  expect(readImageConfig(typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes)).toBe(undefined)
})

test('wrong types are left out, and the rest is there', () => {
  const config = read({
    os: 7,
    architecture: { is: 'amd64' },
    created: 'yesterday',
    config: {
      Env: 'PATH=/bin',
      Cmd: { 0: 'sh' },
      Entrypoint: [null, 'run', ['x']],
      ExposedPorts: ['80/tcp'],
      Labels: { a: 1, b: { c: 2 }, d: null, e: 'e' },
      Healthcheck: { Test: 'curl', Interval: 'often' },
      User: 1000,
    },
    history: [null, 'RUN', { created_by: 5, empty_layer: 'true' }, { created_by: ['RUN'] }],
  })
  expect(config).toMatchObject({
    platform: '7',
    createdAt: undefined,
    cmd: undefined,
    entrypoint: '["run"]',
    user: '1000',
    healthcheck: undefined,
    env: { items: [] },
    ports: { items: [] },
    labels: [
      { name: 'a', text: '1' },
      { name: 'e', text: 'e' },
    ],
    history: [
      { command: '5', isEmpty: false },
      { command: '', isEmpty: false },
    ],
  })
  expect(read({ config: [], history: {} })).toMatchObject({ history: [], labels: [] })
})

test('what is huge is cut, and control characters are seen', () => {
  const many = Array.from({ length: 1_000 }, (_, index) => index)
  const config = read({
    os: 'l'.repeat(10_000),
    config: {
      Env: many.map((index) => `A${index}=${'x'.repeat(900)}`),
      Labels: Object.fromEntries(many.map((index) => [`label.${index}`, 'y'.repeat(900)])),
      Cmd: ['a\u202eb\u0000\u001b[31m'],
      WorkingDir: 'w'.repeat(2_000),
    },
    history: many.map((index) => ({ created_by: `RUN ${index} ${'z'.repeat(5_000)}` })),
  })
  expect(config?.env.items).toHaveLength(23)
  expect(config?.env.moreCount).toBe(977)
  expect(config?.labels).toHaveLength(200)
  expect(config?.history).toHaveLength(1_000)
  expect(config?.workdir).toHaveLength(300)
  expect(config?.history[0]?.command).toHaveLength(1_000)
  // oxlint-disable-next-line no-control-regex -- that is what must not be left
  expect(JSON.stringify(config)).not.toMatch(/[\u0000-\u001f\u202e]/)
})

test('whatever JSON it is, reading it does not fail', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.jsonValue(), (config, history) => {
      read({ config, history, os: history, created: config })
      read(config)
    }),
  )
})
