import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import type http from 'node:http'
import { join } from 'node:path'

import { PDS } from '@atproto/pds'

import { findJson, writeFileAtomic } from './files.ts'
import { adopt, findFreePort, type Listening } from './listening.ts'

interface PdsSecrets {
  jwtSecret: string
  dpopSecret: string
  adminPassword: string
  plcRotationKeyK256PrivateKeyHex: string
}

export interface PdsOptions {
  folder: string
  plcUrl: string
  port?: number
  /** A public name, at which a proxy offers it by https; `localhost`, without, unless told. */
  hostname?: string
  /** As on a public server; see the limits in the reference PDS's own configuration. */
  rateLimits?: boolean
}

/** Larger than the largest manifest by a margin, so that the limit under test is ours. */
const blobUploadLimitBytes = 5 * 1024 * 1024

/** The reference PDS on loopback. Its own start method would listen on every interface. */
export class TestPds implements AsyncDisposable {
  readonly url: string
  readonly server: http.Server
  readonly #pds: PDS
  readonly #listening: Listening

  static async start(options: PdsOptions): Promise<TestPds> {
    const { folder, plcUrl, port, hostname = 'localhost', rateLimits = false } = options
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const where = { host: '127.0.0.1', port: port ?? (await findFreePort()), what: 'the PDS' }
    const pds = await PDS.fromEnv({
      ...(await secretsIn(folder)),
      port: where.port,
      hostname,
      dataDirectory: folder,
      blobstoreDiskLocation: join(folder, 'blobs'),
      blobstoreDiskTmpLocation: join(folder, 'blobs-temporary'),
      blobUploadLimit: blobUploadLimitBytes,
      didPlcUrl: plcUrl,
      inviteRequired: false,
      serviceHandleDomains: ['.test'],
      devMode: true,
      rateLimitsEnabled: rateLimits,
    })
    pollWhenWritten(pds)
    await pds.ctx.sequencer.start()
    try {
      const listening = await adopt(pds.app.listen(where.port, where.host), where)
      return new TestPds(pds, listening)
    } catch (error) {
      await pds.ctx.destroy()
      throw error
    }
  }

  private constructor(pds: PDS, listening: Listening) {
    this.#pds = pds
    this.#listening = listening
    this.server = listening.server
    this.url = `http://localhost:${listening.port}`
  }

  /** Number of the last event the PDS has put in order; 0 when there is none. */
  async lastSequence(): Promise<number> {
    return (await this.#pds.ctx.sequencer.curr()) ?? 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening.stop()
    await this.#pds.destroy()
  }
}

/** The secrets of this PDS, made on first start and kept beside its databases. */
async function secretsIn(folder: string): Promise<PdsSecrets> {
  const file = join(folder, 'secrets.json')
  const kept = await findJson<PdsSecrets>(file)
  if (kept !== undefined) return kept
  const fresh = {
    jwtSecret: randomBytes(32).toString('hex'),
    dpopSecret: randomBytes(32).toString('hex'),
    adminPassword: randomBytes(16).toString('hex'),
    plcRotationKeyK256PrivateKeyHex: randomBytes(32).toString('hex'),
  }
  await writeFileAtomic(file, `${JSON.stringify(fresh, null, 2)}\n`, 0o600)
  return fresh
}

/**
 * The PDS looks for new events by polling, after idleness once a second. Here a write wakes the poll, so that tests
 * do not wait for it: only the waiting is replaced, the events and their order are the PDS's own.
 */
function pollWhenWritten(pds: PDS): void {
  const { sequencer } = pds.ctx
  let wake: () => void = () => undefined
  const sequenceEvents = sequencer.sequenceEvts.bind(sequencer)
  Object.assign(sequencer, {
    sequenceEvts: async (events: Parameters<typeof sequenceEvents>[0]) => {
      const numbers = await sequenceEvents(events)
      wake()
      return numbers
    },
    exponentialBackoff: () =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      }),
  })
}
