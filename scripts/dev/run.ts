import { rm } from 'node:fs/promises'

import { writeFileAtomic } from '../../test/network/files.ts'
import { assertPortsFree } from '../../test/network/infrastructure.ts'
import { TestNetwork } from '../../test/network/test-network.ts'
import { openDataFolder } from './data-folder.ts'
import type { DevOptions } from './options.ts'
import { proveLife, sampleRepository } from './proof-of-life.ts'
import { print, readyText, startProgress } from './screen.ts'

/** Starts the network, proves that it works, tells what there is, and stays until `stopped` resolves. */
export async function runDevNetwork(options: DevOptions, stopped: Promise<string>): Promise<void> {
  // Whoever waits for this file must not find the one of an earlier run.
  if (options.jsonFile !== undefined) await rm(options.jsonFile, { force: true })
  const { ports, bind, storage, uploadMode, logLevel } = options
  // Before --fresh removes anything: the folder may belong to a network that is running.
  await assertPortsFree({ ports, bind, storage })
  const folder = await openDataFolder(options)
  const progress = startProgress()
  const network = await TestNetwork.create({
    dataDir: folder,
    ports,
    bind,
    storage,
    uploadMode,
    logLevel,
    progress,
  })
  try {
    if (options.hasDemoPush) {
      const { digest, byteCount } = await proveLife(network)
      progress('push and pull', `${sampleRepository} (${byteCount} bytes, ${digest.slice(0, 19)}…)`)
    }
    print(readyText(network, { hasSample: options.hasDemoPush, folder }))
    if (options.jsonFile !== undefined) await writeFileAtomic(options.jsonFile, jsonOf(network), 0o600)
    const signal = await stopped
    print(`\n${signal}: stopping …`)
  } finally {
    await network[Symbol.asyncDispose]()
  }
  print('stopped')
}

function jsonOf({ appview, hold, pds, plc, jetstream, accounts }: TestNetwork): string {
  const content = {
    appview: { url: appview.url },
    hold: { url: hold.url, did: hold.did },
    pds: { url: pds.url },
    plc: { url: plc.url },
    jetstream: { url: jetstream.url },
    accounts: Object.values(accounts).map(({ handle, did, password, appPassword }) => ({ handle, did, password, appPassword })), // prettier-ignore
  }
  return `${JSON.stringify(content, null, 2)}\n`
}
