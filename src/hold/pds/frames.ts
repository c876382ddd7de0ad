import type { Cid, LexMap } from '@atproto/lex'
import { encode } from '@atproto/lex-cbor'
import { BlockMap, blocksToCarFile } from '@atproto/repo'

// Frames of `com.atproto.sync.subscribeRepos`: two DAG-CBOR values, a header and a body.
// https://atproto.com/specs/event-stream

export type EventKind = 'commit' | 'sync' | 'identity' | 'account'

export function eventFrame(kind: EventKind | 'info', body: LexMap): Uint8Array {
  return concat(encode({ op: 1, t: `#${kind}` }), encode(body))
}

/** The last frame before the server closes. */
export function errorFrame(error: string, message: string): Uint8Array {
  return concat(encode({ op: -1 }), encode({ error, message }))
}

export interface RepoOp {
  action: 'create' | 'update' | 'delete'
  /** `<collection>/<rkey>` */
  path: string
  cid: Cid | null
  /** What the record was before; not for creations. */
  prev?: Cid
}

export interface CommitEvent {
  did: string
  commit: Cid
  rev: string
  since: string
  /** Root of the record tree before this commit: with it, a reader can undo the operations and compare. */
  prevData: Cid
  /** The commit, new records, and the tree nodes that prove the operations. */
  blocks: BlockMap
  ops: RepoOp[]
}

/** Body of a `#commit` but for `seq` and `time`. */
export async function commitBody(event: CommitEvent): Promise<LexMap> {
  return {
    rebase: false,
    tooBig: false,
    repo: event.did,
    commit: event.commit,
    rev: event.rev,
    since: event.since,
    blocks: await blocksToCarFile(event.commit, event.blocks),
    ops: event.ops.map((op): LexMap => ({ ...op })),
    blobs: [],
    prevData: event.prevData,
  }
}

/** Body of a `#sync` but for `seq` and `time`: the state is this commit, whatever came before. */
export async function syncBody(did: string, rev: string, commit: Cid, bytes: Uint8Array): Promise<LexMap> {
  return { did, rev, blocks: await blocksToCarFile(commit, new BlockMap([[commit, bytes]])) }
}

function concat(header: Uint8Array, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(header.byteLength + body.byteLength)
  frame.set(header)
  frame.set(body, header.byteLength)
  return frame
}
