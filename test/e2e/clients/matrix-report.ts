import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** One row of the table client × operation. */
export interface MatrixRow {
  client: string
  version?: string
  /** Why the client was not tried. */
  missing?: string
  /** Where its bytes go when the operator leaves it to the registry. */
  uploads?: 'to the hold' | 'through the AppView'
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

  addUploads(client: string, uploads: MatrixRow['uploads'] & string): void {
    this.#row(client).uploads = uploads
  }

  addLack(client: string, operation: string, why: string): void {
    this.#row(client).operations[operation] = `lacks: ${why}`
  }

  addResult(client: string, operation: string, hasPassed: boolean): void {
    this.#row(client).operations[operation] = hasPassed ? 'passed' : 'failed'
  }

  /** Into the cache; into `docs/` only when asked to by `WRITE_FIGURES`, so that tests leave the tree as it is. */
  async write(clients: readonly string[], operations: readonly string[]): Promise<void> {
    const isForDocs = process.env['WRITE_FIGURES'] !== undefined
    const path = isForDocs ? 'docs/figures/client-matrix.json' : 'node_modules/.cache/client-matrix.json'
    await mkdir(dirname(path), { recursive: true })
    // In the order of the tables, not that of the run.
    const cells = operations.flatMap((name) => [name, `${name}, relayed`])
    const rows = clients.map((client) => {
      const row = this.#row(client)
      const found = cells.flatMap((cell) =>
        row.operations[cell] === undefined ? [] : [[cell, row.operations[cell]]],
      )
      return { ...row, operations: Object.fromEntries(found) as Record<string, string> }
    })
    await writeFile(path, `${JSON.stringify(rows, null, 2)}\n`)
  }

  #row(client: string): MatrixRow {
    const row = this.#rows.get(client) ?? { client, operations: {} }
    this.#rows.set(client, row)
    return row
  }
}
