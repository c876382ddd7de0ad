import { describe, expect, test } from 'vitest'

import type { DeviceErrorCode } from '../protocol/device/messages.ts'
import { logInByDevice } from './device-login.ts'
import { RegistryError } from './registry-client.ts'

const grant = {
  device_code: 'code',
  user_code: 'ABCD-EFGH',
  verification_uri: 'https://registry.example/device',
  verification_uri_complete: 'https://registry.example/device?code=ABCD-EFGH',
  expires_in: 600,
  interval: 5,
}
const yes = { device_secret: 'atcr_device_x', handle: 'alice.example', did: 'did:plc:alice' }
const no = (error: DeviceErrorCode, reason = '') => ({ error, error_description: reason })
const unreachable = new RegistryError('gone', { isPassing: true })

/** A registry that answers polls with these in turn, and a clock that moves only by waiting. */
async function play(answers: (typeof yes | ReturnType<typeof no> | Error)[]) {
  let nowMs = 0
  const waits: number[] = []
  const login = logInByDevice('laptop', {
    client: {
      createDeviceGrant: async () => grant,
      async redeemDeviceGrant() {
        const answer = answers.shift()
        if (answer === undefined) throw new Error('asked once too often')
        if (answer instanceof Error) throw answer
        return answer
      },
    },
    show: () => undefined,
    now: () => new Date(nowMs),
    async wait(durationMs) {
      waits.push(durationMs / 1000)
      nowMs += durationMs
    },
  })
  return { waits, end: await login.catch((error: unknown) => error) }
}

describe('logging in by device', () => {
  test('asks at the interval until there is a yes', async () => {
    const { waits, end } = await play([no('authorization_pending'), no('authorization_pending'), yes])
    expect(end).toEqual(yes)
    expect(waits).toEqual([5, 5, 5])
  })

  test('slow_down adds five seconds for good (RFC 8628 §3.5)', async () => {
    const { waits, end } = await play([no('slow_down'), no('authorization_pending'), no('slow_down'), yes])
    expect(end).toEqual(yes)
    expect(waits).toEqual([5, 10, 10, 15])
  })

  test('a registry that does not answer is asked ever more rarely', async () => {
    const { waits, end } = await play([unreachable, unreachable, unreachable, unreachable, unreachable, yes])
    expect(end).toEqual(yes)
    expect(waits).toEqual([5, 10, 20, 40, 60, 60])
  })

  test.each([
    ['denied', [no('authorization_pending'), no('access_denied')], 'denied'],
    ['denied, with no more to say', [no('access_denied', 'The login was denied.')], 'denied in the browser'],
    [
      'not allowed',
      [no('access_denied', 'your account has 100 devices')],
      'not signed in: your account has 100',
    ],
    ['expired, says the registry', [no('expired_token')], 'expired'],
    ['an answer that is no passing failure', [new RegistryError('it answered nonsense')], 'nonsense'],
  ])('%s', async (_, answers, message) => {
    const { end } = await play(answers)
    expect(end).toBeInstanceOf(RegistryError)
    expect((end as Error).message).toContain(message)
  })

  test('ends by itself when the code has lived, though the registry is silent', async () => {
    const { waits, end } = await play(Array.from({ length: 30 }, () => unreachable))
    expect((end as Error).message).toContain('expired')
    expect(waits.reduce((sum, it) => sum + it, 0)).toBeLessThan(700)
  })
})
