import { isObject } from './credential-format.ts'
import { withAccount, type Credentials } from './credentials.ts'
import { parseRegistry } from './server-url.ts'

/** Where earlier helpers kept what they had, newest first. */
export const olderFileNames: readonly string[] = ['config.json', 'device.json', 'device-tokens.json']

const depthMax = 6

/**
 * Accounts in a file of an earlier helper, whose shape nobody wrote down: wherever in it a handle stands beside a device
 * secret, that is an account; its registry is the address beside them or else the nearest name above that is an address.
 */
export function findOlderAccounts(file: unknown): Credentials {
  const found = collect(file, [], depthMax)
  // The one marked active comes last, because the last one added is active.
  found.sort((a, b) => Number(a.isActive) - Number(b.isActive))
  return found.reduce<Credentials>((all, { address, handle, did, secret }) => {
    const registry = parseRegistry(address)
    if (registry === undefined) return all
    return withAccount(all, registry, { name: handle, secret, ...(did === undefined ? {} : { did }) })
  }, new Map())
}

interface OlderAccount {
  address: string
  handle: string
  did: string | undefined
  secret: string
  isActive: boolean
}

function collect(value: unknown, above: readonly Step[], depth: number): OlderAccount[] {
  if (!isObject(value) || depth === 0) return []
  const { handle, device_secret: secret, did } = value
  if (typeof handle === 'string' && handle !== '' && typeof secret === 'string' && secret !== '') {
    const address = [value['appview_url'], value['registry'], ...above.map(({ name }) => name)].find(
      isAddress,
    )
    if (address === undefined) return []
    const isActive = above.some(({ parent }) => parent['active'] === handle)
    return [{ address, handle, secret, isActive, did: typeof did === 'string' ? did : undefined }]
  }
  return Object.entries(value).flatMap(([name, child]) =>
    collect(child, [{ name, parent: value }, ...above], depth - 1),
  )
}

interface Step {
  name: string
  parent: Record<string, unknown>
}

const isAddress = (it: unknown): it is string =>
  typeof it === 'string' &&
  /^(?:https?:\/\/)?(?:localhost|[^/\s]+\.[^/\s]+|\[[^\]]+\])(?::\d+)?\/?$/i.test(it)
