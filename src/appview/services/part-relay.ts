import type { Hash } from 'node:crypto'

import { releaseBytes } from '../../lib/pipe-bytes.ts'
import { sizeBytesOf, type PartPieces, type StoredPart } from '../ports/hold-uploads.ts'

/** S3 refuses smaller parts, except for the last of an upload. */
export const partSizeBytesMin = 5 * 1024 * 1024
const partSizeBytes = 8 * 1024 * 1024
/** Later parts are bigger, so that ten thousand of them hold 150 GiB. */
const latePartSizeBytes = 16 * 1024 * 1024
const earlyPartCount = 1_000
/** Parts of one upload that are under way to the storage while the client goes on sending. */
const partsInFlightMax = 3

/** Where an upload stands: what the storage has, and what is too little for a part of its own. */
export interface RelayState {
  parts: (StoredPart & { sizeBytes: number })[]
  nextPartNumber: number
  tail: Uint8Array
}

/**
 * Sends bytes on as parts while they come in. The rest after the last whole part becomes the tail, unless the upload
 * ends here (`isLast`) or it is enough for a part. A source that breaks off (the client went away) loses nothing that
 * arrived: the error is handed back beside the state. Memory: at most four parts. Chunks are ours from when they come,
 * and are freed when their part is stored.
 */
export async function relayBytes(
  source: AsyncIterable<Uint8Array>,
  start: Pick<RelayState, 'nextPartNumber' | 'tail'>,
  needs: {
    putPart: (partNumber: number, pieces: PartPieces) => Promise<StoredPart>
    slots: { run: <T>(action: () => Promise<T>) => Promise<T> }
    hash: Hash | undefined
    isLast: boolean
  },
): Promise<{ state: RelayState; receivedBytes: number; sourceError: unknown }> {
  const sender = new PartSender(start.nextPartNumber, needs)
  let pending: Uint8Array[] = start.tail.byteLength > 0 ? [start.tail] : []
  let pendingBytes = start.tail.byteLength
  let receivedBytes = 0
  let sourceError: unknown
  try {
    for await (let chunk of source) {
      receivedBytes += chunk.byteLength
      needs.hash?.update(chunk)
      while (pendingBytes + chunk.byteLength >= sender.partSizeBytes) {
        const head = chunk.subarray(0, sender.partSizeBytes - pendingBytes)
        await sender.send([...pending, head])
        chunk = chunk.subarray(head.byteLength)
        pending = []
        pendingBytes = 0
      }
      if (chunk.byteLength > 0) pending.push(chunk)
      pendingBytes += chunk.byteLength
    }
  } catch (error) {
    if (sender.failure !== undefined) throw sender.failure
    sourceError = error
  }
  const isEmptyUpload = needs.isLast && sender.nextPartNumber === 1
  const endsHere = needs.isLast && sourceError === undefined && (pendingBytes > 0 || isEmptyUpload)
  if (endsHere || pendingBytes >= partSizeBytesMin) {
    await sender.send(pending)
    pending = []
  }
  const parts = await sender.finish()
  return {
    state: { parts, nextPartNumber: sender.nextPartNumber, tail: Buffer.concat(pending) },
    receivedBytes,
    sourceError,
  }
}

/** Puts parts up a few at a time; the first failure stops the upload. */
class PartSender {
  nextPartNumber: number
  failure: Error | undefined
  readonly #needs: Parameters<typeof relayBytes>[2]
  readonly #inFlight = new Set<Promise<void>>()
  readonly #parts: RelayState['parts'] = []

  constructor(nextPartNumber: number, needs: Parameters<typeof relayBytes>[2]) {
    this.nextPartNumber = nextPartNumber
    this.#needs = needs
  }

  get partSizeBytes(): number {
    return this.nextPartNumber <= earlyPartCount ? partSizeBytes : latePartSizeBytes
  }

  async send(pieces: PartPieces): Promise<void> {
    while (this.#inFlight.size >= partsInFlightMax) await Promise.race(this.#inFlight)
    if (this.failure !== undefined) throw this.failure
    const partNumber = this.nextPartNumber++
    const sizeBytes = sizeBytesOf(pieces)
    const sending = this.#needs.slots
      .run(() => this.#needs.putPart(partNumber, pieces))
      .then((part) => {
        this.#parts.push({ ...part, sizeBytes })
        pieces.forEach(releaseBytes)
      })
      .catch((error: unknown) => {
        this.failure ??= error instanceof Error ? error : new Error(String(error))
      })
      .finally(() => this.#inFlight.delete(sending))
    this.#inFlight.add(sending)
  }

  async finish(): Promise<RelayState['parts']> {
    await Promise.all(this.#inFlight)
    if (this.failure !== undefined) throw this.failure
    return this.#parts.sort((a, b) => a.partNumber - b.partNumber)
  }
}
