import http from 'node:http'

import { assureValidNextOp, getLastOpWithCid, opToData, type CompatibleOpOrTombstone, type DocumentData, type IndexedOperation } from '@did-plc/lib' // prettier-ignore

import { collectBytes } from '../../src/lib/streams.ts'
import { findJson, writeFileAtomic } from './files.ts'
import { listen, type Listening } from './listening.ts'

/** An operation as it is kept: its CID is computed again when the file is read. */
interface StoredOperation {
  operation: CompatibleOpOrTombstone
  nullified: boolean
  createdAt: string
}

const operationBytesMax = 7500

/**
 * A PLC directory in the shape of plc.directory, one writer, everything in one JSON file.
 * It checks operations as the real one does (signatures, previous operation, recovery window).
 */
export class PlcDirectory implements AsyncDisposable {
  readonly url: string
  readonly server: http.Server
  readonly #listening: Listening
  readonly #file: string
  readonly #operations: Map<string, IndexedOperation[]>
  #queue: Promise<unknown> = Promise.resolve()

  static async start({ file, port = 0 }: { file: string; port?: number }): Promise<PlcDirectory> {
    const operations = await readOperations(file)
    const listening = await listen(http.createServer(), {
      host: '127.0.0.1',
      port,
      what: 'the DID directory',
    })
    return new PlcDirectory(listening, file, operations)
  }

  private constructor(listening: Listening, file: string, operations: Map<string, IndexedOperation[]>) {
    this.#listening = listening
    this.#file = file
    this.#operations = operations
    this.server = listening.server
    this.url = `http://localhost:${listening.port}`
    this.server.on('request', (req, res) => {
      void this.#answer(req).then(({ status, body, type }) => {
        res.writeHead(status, { 'content-type': type ?? 'application/json' }).end(JSON.stringify(body))
      })
    })
  }

  /** The DIDs registered here, oldest first. */
  list(): string[] {
    return [...this.#operations.keys()]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening.stop()
    await this.#queue
  }

  async #answer(req: http.IncomingMessage): Promise<Answer> {
    const [did = '', ...rest] = decodeURIComponent((req.url ?? '/').split('?')[0] as string).slice(1).split('/') // prettier-ignore
    const view = rest.join('/')
    try {
      if (did === '_health' || did === '') return { status: 200, body: { version: 'dev' } }
      if (!/^did:plc:[a-z2-7]{24}$/.test(did)) return problem(400, `not a did:plc: ${did}`)
      if (req.method === 'POST' && view === '') return await this.#append(did, req)
      if (req.method !== 'GET' && req.method !== 'HEAD') return problem(405, 'method not allowed')
      return this.#read(did, view)
    } catch (error) {
      return problem(500, error instanceof Error ? error.message : 'failed')
    }
  }

  async #append(did: string, req: http.IncomingMessage): Promise<Answer> {
    const parsed = await collectBytes(req, operationBytesMax)
      .then((bytes) => JSON.parse(Buffer.from(bytes).toString('utf8')) as CompatibleOpOrTombstone)
      .catch((error: Error) => error)
    if (parsed instanceof Error) return problem(400, parsed.message)
    // One at a time: the check looks at the log that the write extends.
    const turn = this.#queue.then(() => this.#validateAndWrite(did, parsed))
    this.#queue = turn.catch(() => undefined)
    return turn
  }

  async #validateAndWrite(did: string, operation: CompatibleOpOrTombstone): Promise<Answer> {
    const log = this.#operations.get(did) ?? []
    try {
      const active = log.filter((it) => !it.nullified)
      const { nullified } = await assureValidNextOp(did, active, operation)
      const isNullified = (it: IndexedOperation) => nullified.some((cid) => cid.equals(it.cid))
      const { cid } = await getLastOpWithCid([operation])
      const next = log.map((it) => (isNullified(it) ? { ...it, nullified: true } : it))
      next.push({ did, operation, cid, nullified: false, createdAt: new Date() })
      this.#operations.set(did, next)
    } catch (error) {
      return problem(400, error instanceof Error ? error.message : 'refused')
    }
    await writeOperations(this.#file, this.#operations)
    return { status: 200, body: {} }
  }

  #read(did: string, view: string): Answer {
    const log = this.#operations.get(did)
    if (log === undefined) return problem(404, `DID not registered: ${did}`)
    const active = log.filter((it) => !it.nullified)
    const last = active.at(-1) as IndexedOperation
    if (view === 'log/audit') return { status: 200, body: log.map(auditEntry) }
    if (view === 'log') return { status: 200, body: active.map((it) => it.operation) }
    if (view === 'log/last') return { status: 200, body: last.operation }
    if (view !== '' && view !== 'data') return problem(404, 'not found')
    const data = opToData(did, last.operation)
    if (data === null) return problem(410, `DID not available: ${did}`)
    if (view === 'data') return { status: 200, body: data }
    return { status: 200, body: didDocument(data), type: 'application/did+ld+json' }
  }
}

interface Answer {
  status: number
  body: unknown
  type?: string
}

const problem = (status: number, message: string): Answer => ({ status, body: { message } })

/** As plc.directory writes it today; the library still formats the older key types. */
function didDocument(data: DocumentData): object {
  return {
    '@context': [
      'https://www.w3.org/ns/did/v1',
      'https://w3id.org/security/multikey/v1',
      'https://w3id.org/security/suites/secp256k1-2019/v1',
    ],
    id: data.did,
    alsoKnownAs: data.alsoKnownAs,
    verificationMethod: Object.entries(data.verificationMethods).map(([name, key]) => ({
      id: `${data.did}#${name}`,
      type: 'Multikey',
      controller: data.did,
      publicKeyMultibase: key.replace(/^did:key:/, ''),
    })),
    service: Object.entries(data.services).map(([name, { type, endpoint }]) => ({
      id: `#${name}`,
      type,
      serviceEndpoint: endpoint,
    })),
  }
}

const auditEntry = (it: IndexedOperation) => ({ ...it, cid: it.cid.toString() })

async function readOperations(file: string): Promise<Map<string, IndexedOperation[]>> {
  const stored = (await findJson<Record<string, StoredOperation[]>>(file)) ?? {}
  const operations = new Map<string, IndexedOperation[]>()
  for (const [did, log] of Object.entries(stored)) {
    const indexed: IndexedOperation[] = []
    for (const { operation, nullified, createdAt } of log) {
      const { cid } = await getLastOpWithCid([operation])
      indexed.push({ did, operation, cid, nullified, createdAt: new Date(createdAt) })
    }
    operations.set(did, indexed)
  }
  return operations
}

async function writeOperations(file: string, operations: Map<string, IndexedOperation[]>): Promise<void> {
  const stored = Object.fromEntries(
    [...operations].map(([did, log]) => [
      did,
      log.map((it) => ({ operation: it.operation, nullified: it.nullified, createdAt: it.createdAt })),
    ]),
  )
  await writeFileAtomic(file, `${JSON.stringify(stored, null, 2)}\n`)
}
