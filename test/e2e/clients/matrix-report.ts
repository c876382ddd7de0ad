import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** One row of the table client × operation. */
export interface MatrixRow {
  client: string
  version?: string
  /** Why the client was not tried. */
  missing?: string
  /** `passed`, `failed`, or `lacks: <why>` for what the client cannot do. */
  operations: Record<string, string>
}

/** Collects what the tests found, for a page of the documentation. */
export class MatrixReport {
  readonly #rows = new Map<string, MatrixRow>()

  addMissing(client: string, missing: string): void {
    this.#row(client).missing = missing
  }

  addClient(client: string, version: string): void {
    this.#row(client).version = version
  }

  addLack(client: string, operation: string, why: string): void {
    this.#row(client).operations[operation] = `lacks: ${why}`
  }

  addResult(client: string, operation: string, hasPassed: boolean): void {
    this.#row(client).operations[operation] = hasPassed ? 'passed' : 'failed'
  }

  /** Into the cache; into `docs/` only when asked to by `WRITE_FIGURES`, so that tests leave the tree as it is. */
  async write(): Promise<void> {
    const isForDocs = process.env['WRITE_FIGURES'] !== undefined
    const path = isForDocs ? 'docs/figures/client-matrix.json' : 'node_modules/.cache/client-matrix.json'
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, `${JSON.stringify([...this.#rows.values()], null, 2)}\n`)
  }

  #row(client: string): MatrixRow {
    const row = this.#rows.get(client) ?? { client, operations: {} }
    this.#rows.set(client, row)
    return row
  }
}
