import { rm } from 'node:fs/promises'

import type { Account } from '../../test/network/accounts.ts'
import { SimulatedClock, simulated } from '../../test/network/demo/clock.ts'
import { hasDemo, openDemo } from '../../test/network/demo/seed.ts'
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
  await runIn(folder, options, stopped, {
    dataDir: folder,
    ports,
    bind,
    storage,
    uploadMode,
    logLevel,
  })
  print('stopped')
}

async function runIn(
  folder: string,
  options: DevOptions,
  stopped: Promise<string>,
  network: NonNullable<Parameters<typeof TestNetwork.create>[0]>,
): Promise<void> {
  const progress = startProgress()
  const clock = new SimulatedClock()
  await using running = await TestNetwork.create({ ...network, ...simulated(clock), progress })
  await using stack = new AsyncDisposableStack()
  const accounts: Account[] = Object.values(running.accounts)
  // The holds of a demo that is there run whether it is asked for again or not: layers are in them.
  if (options.isDemo || (await hasDemo(folder))) {
    const demo = stack.use(await openDemo(running, { clock, folder, progress }))
    accounts.splice(0, Infinity, ...demo.accounts.values())
  }
  if (options.hasDemoPush) {
    const { digest, byteCount } = await proveLife(running)
    progress('push and pull', `${sampleRepository} (${byteCount} bytes, ${digest.slice(0, 19)}…)`)
  }
  print(readyText(running, { hasSample: options.hasDemoPush, folder, accounts }))
  if (options.jsonFile !== undefined)
    await writeFileAtomic(options.jsonFile, jsonOf(running, accounts), 0o600)
  const signal = await stopped
  print(`\n${signal}: stopping …`)
}

function jsonOf({ appview, hold, jetstream, pds, plc }: TestNetwork, accounts: readonly Account[]): string {
  const content = {
    appview: { url: appview.url },
    hold: { url: hold.url, did: hold.did },
    pds: { url: pds.url },
    plc: { url: plc.url },
    jetstream: { url: jetstream.url },
    accounts: accounts.map(({ handle, did, password, appPassword }) => ({ handle, did, password, appPassword })), // prettier-ignore
  }
  return `${JSON.stringify(content, null, 2)}\n`
}
