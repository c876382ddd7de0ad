import { parseCid, type Cid } from '@atproto/lex'
import { writeCarStream, type CarBlock } from '@atproto/repo'
import type { Kysely } from 'kysely'

import type { PdsTables } from '../db/pds-tables.ts'
import { listBlocksAt } from '../db/repo-blocks.ts'

const blocksPerPage = 500
const chunkBytes = 64 * 1024

/**
 * The blocks of a data repo as of a commit, straight from the block table, the commit first. Reading the table costs a
 * fraction of walking the tree, and the format leaves the order open.
 */
export function carOf(
  database: Kysely<PdsTables>,
  root: CarBlock & { rev: string },
  since: string | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  return inChunks(writeCarStream(root.cid, blocksOf(database, root, since)))
}

async function* blocksOf(
  database: Kysely<PdsTables>,
  root: { cid: Cid; bytes: Uint8Array; rev: string },
  since: string | undefined,
): AsyncGenerator<CarBlock, void, undefined> {
  yield root
  const rootCid = root.cid.toString()
  let afterCid = ''
  for (;;) {
    const page = await listBlocksAt(database, { rev: root.rev, since, afterCid, limit: blocksPerPage })
    for (const { cid, bytes } of page) {
      if (cid !== rootCid) yield { cid: parseCid(cid), bytes }
    }
    if (page.length < blocksPerPage) return
    afterCid = page.at(-1)?.cid ?? ''
  }
}

/** Fewer, larger chunks: the CAR writer yields three for every block. */
async function* inChunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of source) {
    pieces.push(piece)
    length += piece.byteLength
    if (length < chunkBytes) continue
    yield Buffer.concat(pieces)
    pieces = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(pieces)
}
