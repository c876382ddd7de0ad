import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import { addSignature, didForCreateOp } from '@did-plc/lib'
import { LabelerServer } from '@skyware/labeler'

import { findFreePort } from './listening.ts'

/** A labeler on loopback with its own DID in a directory; it forgets nothing when it is restarted. */
export class TestLabeler implements AsyncDisposable {
  readonly did: `did:plc:${string}`
  readonly #port: number
  readonly #key: Secp256k1Keypair
  readonly #dbPath: string
  #server: LabelerServer | undefined

  static async start({ plcUrl, folder }: { plcUrl: string; folder: string }): Promise<TestLabeler> {
    const key = await Secp256k1Keypair.create({ exportable: true })
    const port = await findFreePort('127.0.0.1')
    const did = await registerLabeler({ plcUrl, key, endpoint: `http://127.0.0.1:${port}` })
    const labeler = new TestLabeler({ did, port, key, dbPath: join(folder, 'labels.db') })
    await labeler.restart()
    return labeler
  }

  private constructor(parts: {
    did: TestLabeler['did']
    port: number
    key: Secp256k1Keypair
    dbPath: string
  }) {
    this.did = parts.did
    this.#port = parts.port
    this.#key = parts.key
    this.#dbPath = parts.dbPath
  }

  get server(): LabelerServer {
    if (this.#server === undefined) throw new Error('the labeler does not run')
    return this.#server
  }

  async label(
    uri: string,
    more: { neg?: boolean; exp?: string; val?: string; cts?: string } = {},
  ): Promise<void> {
    await this.server.createLabel({ uri, val: '!takedown', ...more })
  }

  async restart(): Promise<void> {
    await this.stop()
    const signingKey = Buffer.from(await this.#key.export()).toString('hex')
    const server = new LabelerServer({ did: this.did, signingKey, dbPath: this.#dbPath })
    await new Promise<void>((resolve, reject) => {
      server.start({ port: this.#port, host: '127.0.0.1' }, (error) =>
        error === null ? resolve() : reject(error),
      )
    })
    this.#server = server
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    await new Promise<void>((resolve) => server.close(resolve))
    server.db.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/** A DID whose document names a labeler at `endpoint` that signs with `key`. */
export async function registerLabeler(parts: {
  plcUrl: string
  key: Secp256k1Keypair
  endpoint: string
}): Promise<`did:plc:${string}`> {
  const { plcUrl, key, endpoint } = parts
  const unsigned = {
    type: 'plc_operation' as const,
    verificationMethods: { atproto: key.did(), atproto_label: key.did() },
    rotationKeys: [key.did()],
    alsoKnownAs: ['at://labeler.test'],
    services: { atproto_labeler: { type: 'AtprotoLabeler', endpoint } },
    prev: null,
  }
  const operation = await addSignature(unsigned, key)
  const did = (await didForCreateOp(operation)) as `did:plc:${string}`
  const response = await fetch(`${plcUrl}/${did}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(operation),
  })
  if (!response.ok) throw new Error(`the directory refused the labeler: ${await response.text()}`)
  return did
}
