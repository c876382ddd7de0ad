import { expect, test } from 'vitest'

import { Readiness, type PartState } from './readiness.ts'

function readinessOf(parts: Record<string, () => Promise<PartState>>) {
  const changes: [string, PartState, unknown][] = []
  const readiness = new Readiness({ parts, onChange: (...change) => void changes.push(change) })
  return { readiness, changes }
}

test('ready is who has all parts, switched off ones apart; why one fails is for the log', async () => {
  const failure = new Error('the disk is on fire')
  const well = readinessOf({ database: async () => 'ok', index: async () => 'off' })
  expect(await well.readiness.report()).toEqual({ status: 'ready', parts: { database: 'ok', index: 'off' } })
  expect(well.changes).toEqual([])
  const ill = readinessOf({
    database: async () => 'ok',
    storage: () => Promise.reject(failure),
    index: async () => 'late',
  })
  const report = await ill.readiness.report()
  expect(report).toEqual({ status: 'not ready', parts: { database: 'ok', storage: 'failed', index: 'late' } })
  expect(JSON.stringify(report)).not.toContain('fire')
  expect(ill.changes).toEqual([['storage', 'failed', failure], ['index', 'late', undefined]]) // prettier-ignore
})

test('a thousand who ask at once cost one look', async () => {
  let looks = 0
  const { readiness } = readinessOf({
    database: async () => {
      looks++
      return 'ok'
    },
  })
  await Promise.all(Array.from({ length: 1000 }, () => readiness.report()))
  await readiness.report()
  expect(looks).toBe(1)
})

test('a program that stops says so, whatever it knew', async () => {
  const { readiness } = readinessOf({ database: async () => 'ok' })
  await readiness.report()
  readiness.stop()
  expect(await readiness.report()).toEqual({ status: 'stopping', parts: {} })
})
