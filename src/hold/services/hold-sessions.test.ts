import { expect, test } from 'vitest'

import { HoldSessions } from './hold-sessions.ts'

test('a session is good for its account and method, for five minutes', () => {
  let nowMs = 1_000_000
  const sessions = new HoldSessions({ key: Buffer.from('k'), now: () => new Date(nowMs) })
  const token = sessions.mint({ did: 'did:plc:a', lxm: 'io.atcr.hold.abortUpload' })
  expect(HoldSessions.isOne(token)).toBe(true)
  expect(sessions.verify(token)).toEqual({ did: 'did:plc:a', lxm: 'io.atcr.hold.abortUpload' })
  const [prefix, payload, mac] = token.split('.') as [string, string, string]
  const other = Buffer.from('{"did":"did:plc:b","lxm":"x","exp":9999999999}').toString('base64url')
  for (const forged of [
    `${prefix}.${other}.${mac}`,
    `${prefix}.${payload}.`,
    `${prefix}.${payload}`,
    'hs1.',
    `${prefix}.${mac}.${payload}`,
  ]) {
    expect(sessions.verify(forged), forged).toBeUndefined()
  }
  nowMs += 300_000
  expect(sessions.verify(token)).toBeUndefined()
})
