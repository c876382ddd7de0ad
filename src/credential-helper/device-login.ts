import type { DeviceCodeAnswer, DeviceErrorAnswer, DeviceTokenAnswer } from '../protocol/device/messages.ts'
import type { Now } from '../lib/clock.ts'
import { RegistryError, type RegistryClient } from './registry-client.ts'

export interface DeviceLoginNeeds {
  client: Pick<RegistryClient, 'createDeviceGrant' | 'redeemDeviceGrant'>
  /** Shows the code and where it goes; may open a browser. */
  show: (grant: DeviceCodeAnswer) => void
  wait: (durationMs: number) => Promise<void>
  now: Now
}

/** How much longer to wait from then on, each time the server asks for it (RFC 8628 §3.5). */
const slowDownSeconds = 5
const intervalSecondsMax = 60

/**
 * Pairs this machine with an account (RFC 8628): shows a code, and asks the registry until a person has said yes or no in a
 * browser. A registry that does not answer is asked again, ever more rarely, while the code lives.
 * @throws {RegistryError} when the person said no, the code expired, or the registry will not
 */
export async function logInByDevice(deviceName: string, needs: DeviceLoginNeeds): Promise<DeviceTokenAnswer> {
  const { client, now } = needs
  const grant = await client.createDeviceGrant(deviceName)
  const endMs = now().getTime() + grant.expires_in * 1000
  needs.show(grant)
  let intervalSeconds = grant.interval
  for (;;) {
    await needs.wait(intervalSeconds * 1000)
    if (now().getTime() >= endMs) throw new RegistryError('the code has expired: begin again')
    const answer = await redeem(client, grant.device_code)
    if (answer === 'unreachable') intervalSeconds = Math.min(intervalSeconds * 2, intervalSecondsMax)
    else if (!('error' in answer)) return answer
    else if (answer.error === 'slow_down') intervalSeconds += slowDownSeconds
    else if (answer.error !== 'authorization_pending') throw new RegistryError(endOf(answer))
  }
}

async function redeem(client: DeviceLoginNeeds['client'], deviceCode: string) {
  try {
    return await client.redeemDeviceGrant(deviceCode)
  } catch (error) {
    if (error instanceof RegistryError && error.isPassing) return 'unreachable' as const
    throw error
  }
}

function endOf({ error, error_description: reason }: DeviceErrorAnswer): string {
  // It may be another reason than a person's no: too many devices, for one.
  if (error === 'access_denied' && !isPlainNo(reason)) return `this machine was not signed in: ${reason}`
  if (error === 'access_denied') return 'denied in the browser: this machine was not signed in'
  return 'the code has expired: begin again'
}

/** Whether it says no more than `access_denied` does. */
const isPlainNo = (reason: string) => reason === '' || /^[\w ]{0,40}\bdenied\.?$/i.test(reason)
