import { digestOf } from '../test-hold.ts'

/** A push as an AppView makes it: two blobs, then the word that a manifest names them. */
export interface Push {
  layer: Buffer
  config: Buffer
  /** Digests of blobs that were answered 201. */
  stored: Set<string>
  isNoted: boolean
}

/** An account that has service tokens. */
export interface Caller {
  did: string
  token(claims: { aud: string; lxm: string }): Promise<string>
}

export interface Target {
  url: string
  did: string
  account: Caller
  mode: 'direct' | 'relay'
  /** Where the layer is cut in two: requests of a direct upload, parts of a relayed one. */
  cutAt: number
}

const imageManifest = 'application/vnd.oci.image.manifest.v1+json'

/** Pushes to the end, or until the hold is gone. Resolves to whether everything was answered well; a refusal is thrown. */
export async function push(target: Target, it: Push): Promise<boolean> {
  try {
    for (const [bytes, cuts] of [[it.layer, [target.cutAt]], [it.config, []]] as const) {
      const digest = digestOf(bytes)
      await (target.mode === 'direct' ? pushDirect : pushRelayed)(target, piecesOf(bytes, cuts), digest)
      it.stored.add(digest)
    }
    const manifest = manifestOf(it)
    await call(target, 'io.atcr.hold.notifyManifest', {
      operation: 'push',
      repository: 'app',
      userDid: target.account.did,
      manifestDigest: digestOf(Buffer.from(JSON.stringify(manifest))),
      manifest,
    })
    it.isNoted = true
    return true
  } catch (error) {
    // Node's fetch for a connection that broke; everything that was answered is another error.
    if (error instanceof TypeError) return false
    throw error
  }
} // prettier-ignore

/** The bytes of a blob as anyone gets them; undefined when the hold has none. */
export async function download({ url, account }: Target, digest: string): Promise<Buffer | undefined> {
  const query = new URLSearchParams({ did: account.did, cid: digest })
  const answer = await fetch(`${url}/xrpc/com.atproto.sync.getBlob?${query.toString()}`)
  if (answer.status === 404) return undefined
  const found = await fetch(local(((await answer.json()) as { url: string }).url))
  if (found.status !== 200) throw new Error(`${digest}: ${found.status} ${await found.text()}`)
  return Buffer.from(await found.arrayBuffer())
}

function piecesOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  return [0, ...cuts].map((start, index) => bytes.subarray(start, cuts[index] ?? bytes.length))
}

export function manifestOf({ layer, config }: Pick<Push, 'config' | 'layer'>) {
  const descriptor = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length }) // prettier-ignore
  return {
    schemaVersion: 2,
    mediaType: imageManifest,
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar', layer)],
  }
}

export async function pushDirect(target: Target, pieces: Buffer[], digest: string): Promise<void> {
  const begun = await call(target, 'io.atcr.hold.initiateUpload', { digest: 'uploads/x', direct: true })
  const url = local(String(begun['uploadUrl']))
  const last = pieces.at(-1)
  for (const piece of pieces.slice(0, -1)) await ok(fetch(url, { method: 'PATCH', body: new Uint8Array(piece) }))
  await ok(fetch(`${url}?digest=${digest}`, { method: 'PUT', body: new Uint8Array(last ?? []) }))
} // prettier-ignore

export async function pushRelayed(target: Target, pieces: Buffer[], digest: string): Promise<void> {
  const { uploadId } = await call(target, 'io.atcr.hold.initiateUpload', { digest: 'uploads/x' })
  const parts = []
  for (const [index, piece] of pieces.entries()) {
    const partNumber = index + 1
    const { url } = await call(target, 'io.atcr.hold.getPartUploadUrl', { uploadId, partNumber })
    const response = await ok(fetch(local(String(url)), { method: 'PUT', body: new Uint8Array(piece) }))
    parts.push({ partNumber, etag: response.headers.get('etag') ?? '' })
  }
  await call(target, 'io.atcr.hold.completeUpload', { uploadId, digest, parts })
}

export async function call({ url, did, account }: Target, lxm: string, input: object): Promise<Record<string, unknown>> {
  const token = await account.token({ aud: did, lxm })
  const response = await ok(
    fetch(`${url}/xrpc/${lxm}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(input),
    }),
  )
  return (await response.json()) as Record<string, unknown>
} // prettier-ignore

async function ok(answer: Promise<Response>): Promise<Response> {
  const response = await answer
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${await response.text()}`)
  return response
}

const local = (url: string) => url.replace('localhost', '127.0.0.1')
