import { releaseBytes } from '../../lib/pipe-bytes.ts'
import { cutIntoParts } from '../../lib/streams.ts'
import { HoldError } from '../errors.ts'
import type { BlobStore, StoredPart, StoreUpload } from '../ports/blob-store.ts'
import type { Slots } from '../../lib/slots.ts'

/** Uploads up to this size wait in the database and are stored in one go when they end. */
const smallBlobBytesMax = 256 * 1024

/** A blob that comes in one request and is no larger waits in memory instead, and is stored in one go when it is whole. */
export const wholeBlobBytesMax = 1024 * 1024

/** Parts of one upload on their way to the store while the next is gathered. */
const partsInFlightMax = 2

/** S3 takes no more. */
const partCountMax = 10_000

/** What became of the bytes of one request: whole parts, and a rest that is too small for one. */
export interface WrittenParts {
  parts: StoredPart[]
  tail: Uint8Array
  upload: StoreUpload | undefined
}

export interface PartWriterNeeds {
  store: Pick<BlobStore, 'partSizeBytes' | 'writePart'>
  /** Shared by all uploads: how many parts are on their way to the store at once. */
  slots: Slots
  /** Begins the upload in the store, at the first part. */
  begin: () => Promise<StoreUpload>
}

interface Position {
  upload: StoreUpload | undefined
  tail: Uint8Array
  lastPartNumber: number
}

/** Writes a stream behind what an upload has already, in the way the store likes. */
export function writeParts(
  needs: PartWriterNeeds,
  at: Position,
  source: AsyncIterable<Uint8Array>,
  { announcedBytes, isWhole = false }: { announcedBytes?: number | undefined; isWhole?: boolean } = {},
): Promise<WrittenParts> {
  const { partSizeBytes } = needs.store
  const waitingBytesMax = isWhole ? wholeBlobBytesMax : smallBlobBytesMax
  if (partSizeBytes === undefined) return writeAsOnePart(needs, at, source, waitingBytesMax)
  // Nine of ten numbers, because the announcement may be a guess. Whole MiB.
  const scaled = Math.ceil((announcedBytes ?? 0) / (partCountMax * 0.9) / 2 ** 20) * 2 ** 20
  return writeEqualParts(needs, at, source, Math.max(partSizeBytes, scaled))
}

async function writeAsOnePart(
  needs: PartWriterNeeds,
  at: Position,
  source: AsyncIterable<Uint8Array>,
  waitingBytesMax: number,
): Promise<WrittenParts> {
  const chunks = source[Symbol.asyncIterator]()
  const head: Uint8Array[] = [at.tail]
  let headBytes = at.tail.byteLength
  let isEnded = false
  while (at.upload === undefined && headBytes <= waitingBytesMax) {
    const next = await chunks.next()
    isEnded = next.done === true
    if (next.done === true) break
    head.push(next.value)
    headBytes += next.value.byteLength
  }
  if (isEnded) {
    const tail = Buffer.concat(head)
    head.forEach(releaseBytes)
    return { parts: [], tail, upload: undefined }
  }
  const upload = at.upload ?? (await needs.begin())
  const part = await needs.store.writePart(upload, at.lastPartNumber + 1, chained(head, chunks))
  return { parts: part.sizeBytes === 0 ? [] : [part], tail: new Uint8Array(), upload }
}

async function writeEqualParts(
  needs: PartWriterNeeds,
  at: Position,
  source: AsyncIterable<Uint8Array>,
  partBytes: number,
): Promise<WrittenParts> {
  const parts: StoredPart[] = []
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  let { upload, lastPartNumber } = at
  let tail: Uint8Array = new Uint8Array()
  try {
    for await (const bytes of cutIntoParts(chained([at.tail], source[Symbol.asyncIterator]()), partBytes)) {
      if (bytes.byteLength < partBytes) {
        tail = bytes
        break
      }
      lastPartNumber += 1
      if (lastPartNumber >= partCountMax) throw new HoldError('size_invalid', 'the blob is too large for this hold') // prettier-ignore
      const to = (upload ??= await needs.begin())
      const partNumber = lastPartNumber
      const work: Promise<void> = needs.slots
        .run(async () => void parts.push(await needs.store.writePart(to, partNumber, chained([bytes]))))
        .catch((error: unknown) => void failures.push(error))
        .finally(() => running.delete(work))
      running.add(work)
      if (running.size >= partsInFlightMax) await Promise.race(running)
      if (failures.length > 0) break
    }
  } finally {
    await Promise.all(running)
  }
  if (failures.length > 0) throw failures[0]
  return { parts: parts.sort((a, b) => a.partNumber - b.partNumber), tail, upload }
}

async function* chained(
  head: readonly Uint8Array[],
  rest?: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (const chunk of head) if (chunk.byteLength > 0) yield chunk
    for (;;) {
      const next = await rest?.next()
      if (next === undefined || next.done === true) return
      yield next.value
    }
  } finally {
    // Whoever stops early must let go of the source too.
    await rest?.return?.()
  }
}
