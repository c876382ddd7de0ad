import { createHash } from 'node:crypto'
import { closeSync, createReadStream, openSync, readdirSync, renameSync, unlinkSync } from 'node:fs'
import { copyFile, link, mkdir, open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { assert } from '../../lib/assert.ts'
import { randomId } from '../../lib/ids.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { HoldError } from '../errors.ts'
import type {
  BegunUpload,
  BlobKey,
  BlobStore,
  ByteRange,
  StoredObject,
  StoredPart,
  StoreUpload,
} from '../ports/blob-store.ts'
import { blobKey, uploadKey, uploadsPrefix } from './blob-keys.ts'
import { makeFolder, makeFolderDurably, syncFile, syncFolders, writeNewFile } from './durable-files.ts'
import { PartFile, type PartPlace } from './part-file.ts'
import type { UrlSigner } from './url-signer.ts'

const listPageSizeDefault = 1000
const readBufferBytes = 1024 * 1024

interface Needs {
  folder: string
  signer: UrlSigner
  listPageSize?: number
}

/** The file of the parts that lie one behind the other. */
const sharedName = 'parts'

interface ArrivingPart {
  partNumber: number
  source: AsyncIterable<Uint8Array>
  sizeBytes: number | undefined
  /** Whether the digest of the whole will be wanted of the store. */
  isHashed: boolean
}

/** A part to be put together with others: a file, or a place in one. */
interface Piece {
  path: string
  place?: PartPlace
}

/** Files looked at in one go, when they are listed. */
const statsAtOnceMax = 64

/** The folder of one blob: the hex of a sha256 or sha512. */
const blobFolder = /^(?:[0-9a-f]{64}|[0-9a-f]{128})\/$/

/**
 * Blobs as files, for a hold without S3. Its signed URLs are the hold's own (`/blobs/…`); the edge in `hold/blobs/`
 * serves them. Files are written beside, flushed, and renamed or linked into place. One process per folder.
 */
export class FilesystemBlobStore implements BlobStore {
  readonly partSizeBytes = undefined
  readonly hasUploadIds = false
  readonly isCopyCheap = true
  readonly #folder: string
  readonly #signer: UrlSigner

  readonly #listPageSize: number
  /** Of uploads that parts came for lately. */
  readonly #partFiles = new Map<BlobKey, Promise<PartFile>>()

  private constructor(needs: Needs) {
    this.#folder = needs.folder
    this.#signer = needs.signer
    this.#listPageSize = needs.listPageSize ?? listPageSizeDefault
  }

  /** Makes the folder, and forgets half-written files of an earlier run. */
  static async open(needs: Needs): Promise<FilesystemBlobStore> {
    await rm(join(needs.folder, 'tmp'), { recursive: true, force: true })
    await mkdir(join(needs.folder, 'tmp'), { recursive: true, mode: 0o700 })
    await makeFolderDurably(join(needs.folder, 'uploads'))
    return new FilesystemBlobStore(needs)
  }

  /** For reading beside the process that owns the folder: makes nothing and removes nothing. */
  static openBeside(needs: Needs): FilesystemBlobStore {
    return new FilesystemBlobStore(needs)
  }

  async findSize(key: BlobKey): Promise<number | undefined> {
    const found = await stat(this.#path(key)).catch(absent)
    return found?.size
  }

  async presignGet(
    blob: { key: BlobKey; digest: Digest },
    options: { lifetimeSeconds: number; method: 'GET' | 'HEAD' },
  ): Promise<URL> {
    return this.#signer.sign(options.method, `/blobs/${blob.digest}`, options.lifetimeSeconds)
  }

  async open(key: BlobKey, range?: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    const file = await open(this.#path(key)).catch(absent)
    if (file === undefined) throw new HoldError('blob_unknown', 'no such blob')
    return createReadStream('', { ...range, fd: file, highWaterMark: readBufferBytes })
  }

  /** The file of a verified blob, to be sent by the edge that serves signed URLs; the caller closes it. */
  async openFile(digest: Digest): Promise<{ file: FileHandle; sizeBytes: number } | undefined> {
    const file = await open(this.#path(blobKey(digest))).catch(absent)
    if (file === undefined) return undefined
    return { file, sizeBytes: (await file.stat()).size }
  }

  async put(key: BlobKey, bytes: Uint8Array): Promise<void> {
    const temporary = this.#temporaryPath()
    await this.#orCleanUp(temporary, async () => {
      await writeNewFile(temporary, once(bytes))
      await this.#intoPlace(key, (path) => rename(temporary, path))
    })
  }

  async beginUpload(key: BlobKey): Promise<StoreUpload> {
    assert(key.startsWith(uploadsPrefix), 'parts on disk lie beside the key, which must be theirs alone')
    await mkdir(dirname(this.#path(key)), { recursive: true, mode: 0o700 }).catch(failed)
    return { key, storeUploadId: '' }
  }

  async presignPart(
    upload: StoreUpload,
    partNumber: number,
    options: { lifetimeSeconds: number },
  ): Promise<URL> {
    return this.#signer.sign('PUT', partPath(upload, partNumber), options.lifetimeSeconds)
  }

  async writePart(
    upload: StoreUpload,
    partNumber: number,
    source: AsyncIterable<Uint8Array>,
  ): Promise<StoredPart> {
    return this.#takePart(upload, { partNumber, source, sizeBytes: undefined, isHashed: false })
  }

  /**
   * As `writePart`, for a part that came by a signed URL, of `sizeBytes` if that is known, and whose bytes nobody else
   * hashes.
   */
  async receivePart(
    upload: StoreUpload,
    partNumber: number,
    { source, sizeBytes }: { source: AsyncIterable<Uint8Array>; sizeBytes: number | undefined },
  ): Promise<StoredPart> {
    return this.#takePart(upload, { partNumber, source, sizeBytes, isHashed: true })
  }

  async #takePart(upload: StoreUpload, part: ArrivingPart): Promise<StoredPart> {
    const { partNumber, source, isHashed } = part
    const shared = await this.#partFile(upload)
    const startBytes = shared.reserve(partNumber, part.sizeBytes)
    if (startBytes === undefined) return this.#takeLonePart(upload, shared, part)
    try {
      const { sizeBytes, sha256Hex } = await shared.write(partNumber, source, { isHashed })
      const etag = sha256Hex ?? randomId()
      this.#keepPart(upload, partNumber, markOf({ partNumber, etag }, { startBytes, sizeBytes }))
      shared.keep(partNumber, etag)
      return { partNumber, etag, sizeBytes }
    } catch (error) {
      shared.release(partNumber)
      if (isErrno(error, 'ENOENT')) {
        if (!shared.isBusy) this.#partFiles.delete(upload.key)
        throw new HoldError('upload_unknown', 'the upload is over')
      }
      return failed(error)
    }
  }

  /** A part into a file of its own. */
  async #takeLonePart(
    upload: StoreUpload,
    shared: PartFile,
    { partNumber, source }: ArrivingPart,
  ): Promise<StoredPart> {
    const temporary = this.#temporaryPath()
    return this.#orCleanUp(temporary, async () => {
      const sizeBytes = await writeNewFile(temporary, source, { isOwned: true })
      const etag = randomId()
      this.#keepPart(upload, partNumber, `${partNumber}.${etag}`, temporary)
      shared.supersede(partNumber)
      return { partNumber, etag, sizeBytes }
    })
  }

  async completeUpload(
    upload: StoreUpload,
    parts: readonly Pick<StoredPart, 'partNumber' | 'etag'>[],
  ): Promise<{ sizeBytes: number; sha256Hex?: string }> {
    const sorted = [...parts].sort((a, b) => a.partNumber - b.partNumber)
    const target = this.#path(upload.key)
    const shared = await this.#partFile(upload)
    const whole = await shared.seal(sorted)
    if (whole !== undefined) {
      await rm(target, { force: true })
      await linkOrCopy(shared.path, target).catch(failed)
      return whole
    }
    const pieces = await this.#findParts(upload, sorted)
    const [only] = pieces
    if (only !== undefined && only.place === undefined && pieces.length === 1) {
      await rm(target, { force: true })
      await linkOrCopy(only.path, target).catch(failed)
      return { sizeBytes: (await stat(target)).size }
    }
    const temporary = this.#temporaryPath()
    const hash = createHash('sha256')
    return this.#orCleanUp(temporary, async () => {
      const sizeBytes = await writeNewFile(temporary, concatenated(pieces), { hash, isOwned: true })
      await rename(temporary, target)
      return { sizeBytes, sha256Hex: hash.digest('hex') }
    })
  }

  async abortUpload(upload: StoreUpload): Promise<void> {
    await this.delete(upload.key)
  }

  async copy(from: BlobKey, to: BlobKey): Promise<void> {
    const temporary = this.#temporaryPath()
    await this.#orCleanUp(temporary, async () => {
      await linkOrCopy(this.#path(from), temporary)
      await this.#intoPlace(to, (path) => rename(temporary, path))
      // Renaming one name of a file onto another does nothing at all, as POSIX has it.
      await rm(temporary, { force: true })
    })
  }

  async delete(key: BlobKey): Promise<void> {
    const path = this.#path(key)
    if (key.startsWith(uploadsPrefix)) {
      await rm(dirname(path), { recursive: true, force: true }).catch(failed)
      this.#partFiles.delete(key)
      return
    }
    await unlink(path).catch(absent)
    // Another blob may be moving in at this moment; then the folder stays.
    await rmdir(dirname(path)).catch(() => undefined)
  }

  async list(prefix: string, cursor?: string): Promise<{ objects: StoredObject[]; cursor?: string }> {
    const keys: BlobKey[] = []
    for await (const key of this.#walk(prefix, cursor ?? '')) {
      keys.push(key)
      if (keys.length === this.#listPageSize) break
    }
    const objects: StoredObject[] = []
    for (let start = 0; start < keys.length; start += statsAtOnceMax) {
      const some = keys.slice(start, start + statsAtOnceMax)
      const found = await Promise.all(some.map((key) => stat(this.#path(key)).catch(absent)))
      for (const [index, stats] of found.entries()) {
        if (stats !== undefined)
          objects.push({ key: some[index] as BlobKey, sizeBytes: stats.size, modifiedAt: stats.mtime })
      }
    }
    const last = keys.length === this.#listPageSize ? keys.at(-1) : undefined
    return last === undefined ? { objects } : { objects, cursor: last }
  }

  /** Every folder of an upload; the time is that of the last part. */
  async listUploads(cursor?: string): Promise<{ uploads: BegunUpload[]; cursor?: string }> {
    const names = (await readdir(join(this.#folder, uploadsPrefix)).catch(absent)) ?? []
    const uploads: BegunUpload[] = []
    for (const name of names.sort().filter((name) => name > (cursor ?? ''))) {
      const found = await stat(join(this.#folder, uploadsPrefix, name)).catch(absent)
      if (found?.isDirectory() !== true) continue
      uploads.push({ key: uploadKey(name), storeUploadId: '', beganAt: found.mtime })
      if (uploads.length === this.#listPageSize) return { uploads, cursor: name }
    }
    return { uploads }
  }

  /** Keys below `folder` (which ends with a slash) after `after`, in order. Some may be gone already. */
  async *#walk(folder: string, after: string): AsyncGenerator<BlobKey> {
    const entries = (await readdir(join(this.#folder, folder), { withFileTypes: true }).catch(absent)) ?? []
    const names = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort()
    for (const name of names) {
      const path = folder + name
      if (blobFolder.test(name)) {
        // Nothing else is in there: one look less for each of very many.
        if (`${path}data` > after) yield `${path}data` as BlobKey
      } else if (path.endsWith('/')) {
        if (path >= after || after.startsWith(path)) yield* this.#walk(path, after)
      } else if (name === 'data' && path > after) {
        yield path as BlobKey
      }
    }
  }

  /**
   * Gives a finished part its name: to a file of its own, or to a mark that says where it lies in the shared one. In one
   * turn of the event loop, so that of two uploads of one part number the last to finish stays and the other goes.
   */
  #keepPart(upload: StoreUpload, partNumber: number, name: string, temporary?: string): void {
    const folder = dirname(this.#path(upload.key))
    try {
      const stale = readdirSync(folder).filter((old) => old.startsWith(`${partNumber}.`) && old !== name)
      if (temporary === undefined) closeSync(openSync(join(folder, name), 'w', 0o600))
      else renameSync(temporary, join(folder, name))
      for (const old of stale) unlinkSync(join(folder, old))
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw new HoldError('upload_unknown', 'the upload is over')
      throw error
    }
  }

  /** The file that parts of an upload share. One for all of them, or two would write to the same place. */
  #partFile(upload: StoreUpload): Promise<PartFile> {
    const known = this.#partFiles.get(upload.key)
    if (known !== undefined) return known
    const folder = dirname(this.#path(upload.key))
    const opened = (async () => {
      const names = (await readdir(folder).catch(absent)) ?? []
      return PartFile.open(join(folder, sharedName), placesOf(names))
    })()
    this.#partFiles.set(upload.key, opened)
    opened.catch(() => this.#partFiles.delete(upload.key))
    return opened
  }

  async #findParts(
    upload: StoreUpload,
    parts: readonly Pick<StoredPart, 'partNumber' | 'etag'>[],
  ): Promise<Piece[]> {
    const folder = dirname(this.#path(upload.key))
    const names = (await readdir(folder).catch(absent)) ?? []
    const places = placesOf(names)
    return parts.map(({ partNumber, etag }) => {
      const place = places.get(partNumber)
      if (place?.etag === etag) return { path: join(folder, sharedName), place }
      const name = `${partNumber}.${etag}`
      if (names.includes(name) && !etag.includes('@')) return { path: join(folder, name) }
      throw new HoldError('parts_missing', `part ${partNumber} has not arrived`)
    })
  }

  /** Runs `move` towards the file of a key, with its folder there before and flushed after. */
  async #intoPlace(key: BlobKey, move: (path: string) => Promise<void>): Promise<void> {
    const path = this.#path(key)
    const folder = dirname(path)
    const changed = await makeFolder(folder)
    await move(path).catch(async (error: unknown) => {
      // A delete of the blob that was here took the folder along in between.
      if (!isErrno(error, 'ENOENT')) throw error
      changed.push(...(await makeFolder(folder)))
      await move(path)
    })
    await syncFolders([folder, ...changed])
  }

  async #orCleanUp<T>(temporary: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      await rm(temporary, { force: true })
      return failed(error)
    }
  }

  #temporaryPath(): string {
    return join(this.#folder, 'tmp', randomId())
  }

  #path(key: BlobKey): string {
    return join(this.#folder, key)
  }
}

/** Path below the hold's URL where a part of an upload may be `PUT`. */
function partPath(upload: StoreUpload, partNumber: number): string {
  return `/blobs/${dirname(upload.key)}/${partNumber}`
}

/** A second name for the bytes; on a file system without hard links, second bytes. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(async (error: unknown) => {
    if (!isErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK')) throw error
    await copyFile(from, to)
    await syncFile(to)
  })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function* concatenated(pieces: readonly Piece[]): AsyncGenerator<Uint8Array> {
  for (const { path, place } of pieces) {
    if (place?.sizeBytes === 0) continue
    const range = place && { start: place.startBytes, end: place.startBytes + place.sizeBytes - 1 }
    yield* createReadStream(path, { highWaterMark: readBufferBytes, ...range })
  }
}

/** The name of a mark: an empty file that says that a part is there, and where in the shared file. */
function markOf(part: Pick<StoredPart, 'partNumber' | 'etag'>, place: PartPlace): string {
  return `${part.partNumber}.${part.etag}@${place.startBytes}+${place.sizeBytes}`
}

/** What the marks among the names in a folder say. */
function placesOf(names: readonly string[]): Map<number, PartPlace & { etag: string }> {
  const places = new Map<number, PartPlace & { etag: string }>()
  for (const name of names) {
    const match = /^(\d+)\.([0-9A-Za-z_-]{1,64})@(\d+)\+(\d+)$/.exec(name)
    if (match === null) continue
    const [, partNumber, etag = '', startBytes, sizeBytes] = match
    places.set(Number(partNumber), { etag, startBytes: Number(startBytes), sizeBytes: Number(sizeBytes) })
  }
  return places
}

function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

/** What is not there is no failure. */
function absent(error: unknown): undefined {
  if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
  return failed(error)
}

/** Ours and the stream's own errors go on as they are; what the disk said becomes `storage_failed`. */
function failed(error: unknown): never {
  if (!(error instanceof Error) || !('syscall' in error) || error instanceof HoldError) throw error
  if (!isFileCall(error)) throw error
  const isFull = isErrno(error, 'ENOSPC', 'EDQUOT')
  throw new HoldError('storage_failed', isFull ? 'the disk of this hold is full' : 'the disk of this hold failed', { cause: error }) // prettier-ignore
}

/** A socket that broke while its bytes were being stored is the client's failure, not the disk's. */
function isFileCall(error: Error): boolean {
  return !isErrno(error, 'ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT')
}
