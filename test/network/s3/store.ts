import { createReadStream, mkdirSync, rmSync } from 'node:fs'
import { link } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import { randomId } from '../../../src/lib/ids.ts'

/** A run of bytes in a file of its own; an object made of parts has one for each. */
export interface Segment {
  file: string
  sizeBytes: number
}

export interface StoredObject {
  bucket: string
  key: string
  sizeBytes: number
  etag: string
  contentType: string
  checksumSha256: string | null
  modifiedAt: string
  segments: Segment[]
}

export interface StoredUpload {
  id: string
  bucket: string
  key: string
  contentType: string
  startedAt: string
}

export interface StoredPart {
  number: number
  sizeBytes: number
  etag: string
  modifiedAt: string
  segment: Segment
}

const tables = `
  PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY);
  CREATE TABLE IF NOT EXISTS objects (bucket TEXT, key TEXT, json TEXT NOT NULL, PRIMARY KEY (bucket, key));
  CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, bucket TEXT, key TEXT, json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS parts (upload_id TEXT, number INTEGER, json TEXT NOT NULL, PRIMARY KEY (upload_id, number));
`

/** Buckets, objects and uploads: what they are in SQLite, their bytes in files that are written once. */
export class S3Store implements Disposable {
  readonly #db: DatabaseSync
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = join(folder, 'bytes')
    mkdirSync(this.#folder, { recursive: true })
    this.#db = new DatabaseSync(join(folder, 's3.sqlite'))
    this.#db.exec(tables)
  }

  /** A fresh file for bytes that are about to arrive. */
  newFile(): string {
    return join(this.#folder, randomId())
  }

  hasBucket(name: string): boolean {
    return this.#db.prepare('SELECT 1 FROM buckets WHERE name = ?').get(name) !== undefined
  }

  listBuckets(): string[] {
    return this.#db.prepare('SELECT name FROM buckets ORDER BY name').all().map((row) => String(row['name'])) // prettier-ignore
  }

  createBucket(name: string): void {
    this.#db.prepare('INSERT OR IGNORE INTO buckets VALUES (?)').run(name)
  }

  deleteBucket(name: string): void {
    this.#db.prepare('DELETE FROM buckets WHERE name = ?').run(name)
  }

  findObject(bucket: string, key: string): StoredObject | undefined {
    return this.#one('SELECT json FROM objects WHERE bucket = ? AND key = ?', bucket, key) as
      | StoredObject
      | undefined
  }

  putObject(object: StoredObject): void {
    const old = this.findObject(object.bucket, object.key)
    this.#db
      .prepare('INSERT OR REPLACE INTO objects VALUES (?, ?, ?)')
      .run(object.bucket, object.key, JSON.stringify(object))
    for (const { file } of old?.segments ?? []) rmSync(file, { force: true })
  }

  deleteObject(bucket: string, key: string): void {
    const old = this.findObject(bucket, key)
    this.#db.prepare('DELETE FROM objects WHERE bucket = ? AND key = ?').run(bucket, key)
    for (const { file } of old?.segments ?? []) rmSync(file, { force: true })
  }

  /** Objects whose keys start with `prefix` and come after `afterKey`, in the order of their UTF-8 bytes. */
  *listObjects(bucket: string, prefix: string, afterKey: string): Generator<StoredObject> {
    const rows = this.#db
      .prepare('SELECT json FROM objects WHERE bucket = ? AND key > ? AND substr(key, 1, ?) = ? ORDER BY key')
      .iterate(bucket, afterKey, prefix.length, prefix)
    for (const row of rows) yield JSON.parse(String(row['json'])) as StoredObject
  }

  findUpload(id: string): StoredUpload | undefined {
    return this.#one('SELECT json FROM uploads WHERE id = ?', id) as StoredUpload | undefined
  }

  listUploads(bucket: string): StoredUpload[] {
    return this.#many('SELECT json FROM uploads WHERE bucket = ? ORDER BY key, id', bucket) as StoredUpload[]
  }

  putUpload(upload: StoredUpload): void {
    this.#db
      .prepare('INSERT INTO uploads VALUES (?, ?, ?, ?)')
      .run(upload.id, upload.bucket, upload.key, JSON.stringify(upload))
  }

  listParts(uploadId: string): StoredPart[] {
    return this.#many('SELECT json FROM parts WHERE upload_id = ? ORDER BY number', uploadId) as StoredPart[]
  }

  putPart(uploadId: string, part: StoredPart): void {
    const old = this.listParts(uploadId).find((it) => it.number === part.number)
    this.#db
      .prepare('INSERT OR REPLACE INTO parts VALUES (?, ?, ?)')
      .run(uploadId, part.number, JSON.stringify(part))
    if (old !== undefined) rmSync(old.segment.file, { force: true })
  }

  /** Forgets an upload; the bytes of its parts go too, except those that now belong to an object. */
  deleteUpload(id: string, kept: readonly Segment[] = []): void {
    const files = this.listParts(id).map((part) => part.segment.file)
    this.#db.prepare('DELETE FROM parts WHERE upload_id = ?').run(id)
    this.#db.prepare('DELETE FROM uploads WHERE id = ?').run(id)
    const isKept = (file: string) => kept.some((segment) => segment.file === file)
    for (const file of files) if (!isKept(file)) rmSync(file, { force: true })
  }

  /** The same bytes under new file names, without copying them. */
  async linkSegments(segments: readonly Segment[]): Promise<Segment[]> {
    const linked = segments.map((segment) => ({ from: segment.file, ...segment, file: this.newFile() }))
    for (const { from, file } of linked) await link(from, file)
    return linked.map(({ file, sizeBytes }) => ({ file, sizeBytes }))
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }

  #one(sql: string, ...parameters: string[]): unknown {
    const row = this.#db.prepare(sql).get(...parameters)
    return row === undefined ? undefined : JSON.parse(String(row['json']))
  }

  #many(sql: string, ...parameters: string[]): unknown[] {
    return this.#db.prepare(sql).all(...parameters).map((row) => JSON.parse(String(row['json'])) as unknown) // prettier-ignore
  }
}

/** Bytes `start` to `end` (inclusive) of an object, read across its segments. */
export async function* readSegments(
  segments: readonly Segment[],
  { start, end }: { start: number; end: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  let offset = 0
  for (const { file, sizeBytes } of segments) {
    const from = Math.max(start - offset, 0)
    const to = Math.min(end - offset, sizeBytes - 1)
    if (from <= to) yield* createReadStream(file, { start: from, end: to, highWaterMark: 1024 * 1024 })
    offset += sizeBytes
  }
}
