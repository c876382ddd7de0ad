import { mkdir, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { findJson, isNotFound, writeFileAtomic } from '../../test/network/files.ts'
import { partNames, type Ports } from '../../test/network/infrastructure.ts'
import { UsageError, type DevOptions } from './options.ts'

const markerName = 'dev-network.json'
const markerKind = 'atcr dev network'
/** Goes up when data of an earlier version cannot be used any more. */
const dataVersion = 1

/** What the data depend on: DIDs and documents name ports, and layers are where the driver put them. */
interface Marker {
  kind: typeof markerKind
  version: number
  ports: Ports
  storage: DevOptions['storage']
}

/** All that a dev network makes in its folder. `--fresh` removes these and nothing else. */
const ours = [
  'accounts.json',
  'plc',
  'pds',
  'jetstream',
  's3',
  'hold',
  'appview',
  'demo.json',
  'demo-holds',
  markerName,
]

/**
 * Makes the folder ready: empty or missing becomes ours, ours is checked against the options, anything else is
 * left alone.
 * @throws {UsageError} saying what to do instead.
 */
export async function openDataFolder(
  options: Pick<DevOptions, 'folder' | 'isFresh' | 'ports' | 'storage'>,
): Promise<string> {
  const folder = resolve(options.folder)
  const names = await listNames(folder)
  const marker = await findJson<Partial<Marker>>(join(folder, markerName))
  if (names.length > 0 && marker?.kind !== markerKind) {
    throw new UsageError(
      `${folder} holds something else than a dev network: choose another folder with --data DIR`,
    )
  }
  if (options.isFresh) {
    for (const name of ours) await rm(join(folder, name), { recursive: true, force: true })
  } else if (marker !== undefined) {
    checkMarker(marker as Marker, folder, options)
    return folder
  }
  const fresh: Marker = {
    kind: markerKind,
    version: dataVersion,
    ports: options.ports,
    storage: options.storage,
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFileAtomic(join(folder, markerName), `${JSON.stringify(fresh, null, 2)}\n`)
  return folder
}

function checkMarker(marker: Marker, folder: string, options: Pick<DevOptions, 'ports' | 'storage'>): void {
  const wayOut = 'or begin anew with --fresh'
  if (marker.version !== dataVersion) {
    throw new UsageError(`the data in ${folder} are of version ${marker.version}, this is version ${dataVersion}: use another --data DIR ${wayOut}`) // prettier-ignore
  }
  if (partNames.some((name) => marker.ports[name] !== options.ports[name])) {
    throw new UsageError(`the data in ${folder} belong to a network on ${portsText(marker.ports)}: start it there, use another --data DIR ${wayOut}`) // prettier-ignore
  }
  if (marker.storage !== options.storage) {
    throw new UsageError(`the data in ${folder} were made with --storage ${marker.storage}: use that, another --data DIR ${wayOut}`) // prettier-ignore
  }
}

function portsText(ports: Ports): string {
  const isRow = partNames.every((name, index) => ports[name] === ports.appview + index)
  return isRow ? `--port-base ${ports.appview}` : `the default ports`
}

async function listNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isNotFound(error)) return []
    throw new UsageError(`${folder} cannot be used as data folder: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
