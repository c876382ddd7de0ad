import type { Identities } from '../../../atproto/identity.ts'
import type { Did } from '../../../atproto/syntax.ts'
import type { Now } from '../../../lib/clock.ts'
import { cleanText } from '../../../lib/format.ts'
import { describeUserAgent } from '../../../lib/user-agent.ts'
import { deviceNameLengthMax, type Devices } from '../../services/devices.ts'
import type { PdsAccounts } from '../../services/pds-accounts.ts'
import type { PdsSessions } from '../../services/pds-sessions.ts'
import type { WebSessions } from '../../services/web-sessions.ts'
import { loginCommands } from './login-commands.ts'
import { hasPdsSession } from '../../services/pds-access.ts'
import { registryAddress } from './pull-commands.ts'

/** An IPv6 address with its zone. */
const addressLengthMax = 64

interface Needs {
  devices: Pick<Devices, 'list'>
  webSessions: Pick<WebSessions, 'list'>
  pdsAccounts: Pick<PdsAccounts, 'find'>
  pdsSessions: Pick<PdsSessions, 'session'>
  identities: Pick<Identities, 'resolveDid'>
  baseUrl: string
  imageHost?: string | undefined
  now: Now
}

/** An account, where it lives, and how much has access to it. */
export async function viewAccount(needs: Needs, did: Did) {
  const [pdsUrl, devices, signIns, appPassword, hasAccess] = await Promise.all([
    findPdsUrl(needs, did),
    needs.devices.list(did),
    needs.webSessions.list(did),
    needs.pdsAccounts.find(did),
    hasPdsSession(needs.pdsSessions, did),
  ])
  return {
    hasAccess,
    pdsUrl,
    deviceCount: devices.length,
    signInCount: signIns.length,
    hasAppPassword: appPassword !== undefined,
  }
}

export async function viewDevices({ baseUrl, devices, imageHost, now }: Needs, did: Did) {
  return {
    devices: (await devices.list(did)).map(withPlainAddress),
    loginCommand: `docker-credential-atcr login ${registryAddress({ baseUrl, imageHost }).host}`,
    now: now(),
  }
}

/** One of the account's own; undefined when it is none. */
export async function viewDeviceName({ devices }: Needs, did: Did, id: string) {
  const device = (await devices.list(did)).find((device) => device.id === id)
  return device && { id, name: device.name, nameLengthMax: deviceNameLengthMax }
}

export async function viewSignIns(
  { now, webSessions }: Needs,
  { did, sessionId }: { did: Did; sessionId: string },
) {
  const entries = await webSessions.list(did)
  const signIns = entries.map(({ userAgent, ...entry }) => ({
    ...withPlainAddress(entry),
    browser: describeUserAgent(userAgent),
    isThis: entry.id === sessionId,
  }))
  // The browser that asks comes first.
  return { signIns: signIns.toSorted((one, other) => Number(other.isThis) - Number(one.isThis)), now: now() }
}

export async function viewAppPasswords(
  needs: Needs,
  { did, handle }: { did: Did; handle: string | undefined },
) {
  const [kept, pdsUrl] = await Promise.all([needs.pdsAccounts.find(did), findPdsUrl(needs, did)])
  const commands = loginCommands(registryAddress(needs), handle ?? did)
  return { commands, kept, pdsUrl, now: needs.now() }
}

/** Undefined while it cannot be looked up, and where it is no address of a web server. */
async function findPdsUrl({ identities }: Needs, did: Did): Promise<string | undefined> {
  const identity = await identities.resolveDid(did).catch(() => undefined)
  const pdsUrl = identity?.pdsUrl
  return pdsUrl !== undefined && /^https?:$/.test(new URL(pdsUrl).protocol) ? pdsUrl : undefined
}

/** A socket that takes both kinds of addresses writes an IPv4 one as `::ffff:192.0.2.1`. */
function withPlainAddress<Entry extends { address?: string }>(entry: Entry): Entry {
  const address = entry.address?.replace(/^::ffff:(?=\d+\.)/, '')
  return address === undefined ? entry : { ...entry, address: cleanText(address, addressLengthMax) }
}
