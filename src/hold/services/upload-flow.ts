/** Bytes of one request on their way into an upload, and how many may come. All counts are of the whole upload. */
export class UploadFlow implements Disposable {
  readonly userDid: string
  /** The account's own already, whatever comes of the upload. */
  readonly freeBytes: number
  /** What the bytes are said to be. */
  readonly digest: string | undefined
  grantedBytes: number
  #usedBytes: number
  /** What is not given back: announced, or saved. */
  #floorBytes: number
  readonly #needs: Pick<ConstructorParameters<typeof UploadFlow>[0], 'grow' | 'close' | 'alone'>

  constructor(needs: {
    userDid: string
    freeBytes: number
    digest: string | undefined
    usedBytes: number
    grantedBytes: number
    /** Raises `grantedBytes` so far at least, or throws. */
    grow: (totalBytes: number) => Promise<void>
    close: () => void
    alone: <T>(work: () => Promise<T>) => Promise<T>
  }) {
    this.userDid = needs.userDid
    this.freeBytes = needs.freeBytes
    this.digest = needs.digest
    this.grantedBytes = needs.grantedBytes
    this.#usedBytes = needs.usedBytes
    this.#floorBytes = needs.grantedBytes
    this.#needs = needs
  }

  /** What counts against the quota. */
  get takenBytes(): number {
    return Math.max(0, this.grantedBytes - this.freeBytes)
  }

  /** Room for so many bytes more, known in advance. @throws {HoldError} `quota_exceeded` */
  async expect(bytes: number): Promise<void> {
    this.#floorBytes = Math.max(this.#floorBytes, this.#usedBytes + bytes)
    if (this.#floorBytes > this.grantedBytes) await this.#needs.grow(this.#floorBytes)
  }

  /** The bytes of the source as long as there is room. @throws {HoldError} `quota_exceeded` */
  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source) {
      // Counted before room is made for it, so that nobody is given that room in between.
      this.#usedBytes += chunk.byteLength
      if (this.#usedBytes > this.grantedBytes) await this.#needs.grow(this.#usedBytes)
      yield chunk
    }
  }

  /** Lets go of what was granted ahead of the bytes. */
  giveBack(): void {
    this.grantedBytes = Math.min(this.grantedBytes, Math.max(this.#floorBytes, this.#usedBytes))
  }

  /** Saves what came: from then on the row of the upload says what it takes. */
  save<T>(work: () => Promise<T>): Promise<T> {
    return this.#needs.alone(async () => {
      const result = await work()
      this.#needs.close()
      return result
    })
  }

  [Symbol.dispose](): void {
    this.#needs.close()
  }
}
