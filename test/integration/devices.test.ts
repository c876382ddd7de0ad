import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { DeviceCodeAnswer, DeviceTokenAnswer } from '../../src/protocol/device/messages.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'

let network: TestNetwork

beforeAll(async () => {
  network = await TestNetwork.create()
})
afterAll(() => network[Symbol.asyncDispose]())

const post = (path: string, body: string | object, headers: Record<string, string> = {}) =>
  fetch(new URL(path, network.appview.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

async function begin(deviceName = 'laptop'): Promise<DeviceCodeAnswer> {
  const response = await post('/auth/device/code', { device_name: deviceName })
  expect(response.status).toBe(200)
  return (await response.json()) as DeviceCodeAnswer
}

const redeem = (deviceCode: string) => post('/auth/device/token', { device_code: deviceCode })
const approve = (userCode: string, did = network.accounts.alice.did) =>
  network.appview.context.deviceGrants.decide(userCode, 'approved', { did, address: '127.0.0.1' })

/** A pairing of alice's, from code to secret. */
async function pair(): Promise<DeviceTokenAnswer> {
  const { device_code, user_code } = await begin()
  await approve(user_code)
  return (await (await redeem(device_code)).json()) as DeviceTokenAnswer
}

describe('what programs call', () => {
  test('a machine is paired, and pushes and pulls with its secret until it is revoked', async () => {
    const { alice } = network.accounts
    const begun = await begin('alice’s laptop')
    expect(begun).toEqual({
      device_code: expect.stringMatching(/^[\w-]{43}$/),
      user_code: expect.stringMatching(/^[BCDFGHJ-NP-TV-XZ]{4}-[BCDFGHJ-NP-TV-XZ]{4}$/),
      verification_uri: `${network.appview.url}/device`,
      verification_uri_complete: `${network.appview.url}/device?code=${begun.user_code}`,
      expires_in: 600,
      interval: 5,
    })
    const pending = await redeem(begun.device_code)
    expect([pending.status, await pending.json()]).toMatchObject([400, { error: 'authorization_pending' }])

    await approve(begun.user_code)
    const redeemed = await redeem(begun.device_code)
    expect(redeemed.status).toBe(200)
    expect(redeemed.headers.get('cache-control')).toBe('no-store')
    const paired = (await redeemed.json()) as DeviceTokenAnswer
    expect(paired).toEqual({
      device_secret: expect.stringMatching(/^atcr_device_[\w-]{43}$/),
      handle: 'alice.test',
      did: alice.did,
    })

    const registry = new OciClient({
      registryUrl: network.appview.url,
      username: paired.handle,
      password: paired.device_secret,
    })
    const { context } = network.appview
    // Somebody has to be signed in at the PDS; here by an app password.
    await context.pdsAccounts.logIn(alice.did, alice.appPassword, '127.0.0.1')
    await registry.pushImage('alice.test/paired', imageOfFiles({ hello: 'device' }))

    const [device] = await context.devices.list(alice.did)
    expect(device).toMatchObject({ name: 'alice’s laptop', usedAt: expect.any(Date), address: '127.0.0.1' })
    await context.devices.revoke(alice.did, device?.id ?? '')
    const refused = await tokenFor(paired.handle, paired.device_secret)
    expect(refused.status).toBe(401)
    expect(await refused.text()).toContain('revoked')
  })
})

/** Asks for a token as Docker does. */
const tokenFor = (user: string, secret: string, scope = '') =>
  fetch(new URL(`/auth/token?scope=${scope}`, network.appview.url), {
    headers: { authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}` },
  })

test('the secret of a device is good for its own account alone', async () => {
  const { device_secret: secret } = await pair()
  const { alice, bob } = network.accounts
  for (const user of [alice.handle, alice.did, alice.handle.toUpperCase()])
    expect((await tokenFor(user, secret)).status).toBe(200)
  for (const user of [bob.handle, bob.did, 'nobody.test', 'nonsense', ''])
    expect((await tokenFor(user, secret)).status).toBe(401)
})
