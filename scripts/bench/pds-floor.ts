import { randomBytes } from 'node:crypto'

import { buildManifestRecord } from '../../src/protocol/lexicon/build-manifest-record.ts'
import { manifestCollection, manifestRkey } from '../../src/protocol/lexicon/manifest-record.ts'
import type { PdsBlobJson } from '../../src/protocol/lexicon/record.ts'
import { buildTagRecord, tagCollection, tagRkey } from '../../src/protocol/lexicon/tag-record.ts'
import { digestOfBytes } from '../../src/protocol/oci/digest.ts'
import { parseManifest } from '../../src/protocol/oci/manifest.ts'
import type { JobResult, PdsJob } from './client-jobs.ts'
import { makeImage } from './image-pusher.ts'

const repository = 'bench-floor'

/**
 * What every image costs at its owner's PDS, whatever a registry does: its manifest as a PDS blob, then manifest and tag in
 * a commit. As many images as are pushed at once share a commit, as pushes that wait do.
 */
export async function pushToPds({ url, account, imageCount, concurrency }: PdsJob): Promise<JobResult> {
  const call = await signIn(url, account)
  const manifests = Array.from({ length: imageCount }, () => makeImage([64]).manifest)
  const latenciesMs: number[] = []
  const startedAtMs = performance.now()
  for (let start = 0; start < imageCount; start += concurrency) {
    const beganAtMs = performance.now()
    const together = manifests.slice(start, start + concurrency)
    const blobs = await Promise.all(together.map((bytes) => call('com.atproto.repo.uploadBlob', bytes)))
    const writes = together.flatMap((bytes, index) => writesOf(account.did, bytes, blobs[index]?.['blob']))
    await call('com.atproto.repo.applyWrites', Buffer.from(JSON.stringify({ repo: account.did, writes })))
    latenciesMs.push(...together.map(() => performance.now() - beganAtMs))
  }
  return { wallMs: performance.now() - startedAtMs, bytes: 0, latenciesMs }
}

type Call = (method: string, body: Uint8Array) => Promise<Record<string, unknown>>

async function signIn(url: string, { handle, password }: PdsJob['account']): Promise<Call> {
  const post = async (method: string, body: Uint8Array, headers: Record<string, string>) => {
    const response = await fetch(`${url}/xrpc/${method}`, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
    })
    const answer = (await response.json()) as Record<string, unknown>
    if (!response.ok) throw new Error(`${method} answered ${response.status}: ${JSON.stringify(answer)}`)
    return answer
  }
  const login = Buffer.from(JSON.stringify({ identifier: handle, password }))
  const json = 'application/json'
  const session = await post('com.atproto.server.createSession', login, { 'content-type': json })
  const authorization = `Bearer ${String(session['accessJwt'])}`
  return (method, body) =>
    post(method, body, {
      authorization,
      'content-type': method.endsWith('Blob') ? 'application/octet-stream' : json,
    })
}

/** A manifest record and a tag record as an AppView writes them. */
function writesOf(ownerDid: string, bytes: Uint8Array, manifestBlob: unknown): unknown[] {
  const digest = digestOfBytes(bytes, 'sha256')
  const now = new Date()
  const tag = `v${randomBytes(6).toString('hex')}`
  const create = (collection: string, rkey: string, value: unknown) => ({
    $type: 'com.atproto.repo.applyWrites#create',
    collection,
    rkey,
    value,
  })
  const manifest = buildManifestRecord({
    repositories: [repository],
    digest,
    manifest: parseManifest(bytes, undefined),
    holdDid: 'did:web:hold.example',
    manifestBlob: manifestBlob as PdsBlobJson,
    createdAt: now,
  })
  const tagged = buildTagRecord({ ownerDid, repository, tag, digest, createdAt: now, updatedAt: now })
  return [
    create(manifestCollection, manifestRkey(digest), manifest),
    create(tagCollection, tagRkey(repository, tag), tagged),
  ]
}
