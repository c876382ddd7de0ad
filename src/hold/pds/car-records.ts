import { ifCid, type Cid, type LexMap, type LexValue } from '@atproto/lex'

import { isDid, type Did } from '../../atproto/syntax.ts'
import { CarBlocks, carInvalid } from './car-reader.ts'

/** What a data repo holds at its newest commit. */
export interface CarContent {
  did: Did
  rev: string
  records: CarRecord[]
}

export interface CarRecord {
  collection: string
  rkey: string
  value: LexMap
}

/** A hash has so many pairs of bits, and each layer of the tree stands for one. */
const layerCountMax = 128
const keyBytesMax = 1024

/**
 * Reads the records of a data repo out of a CAR file: every block is checked against its CID, and the tree that leads from
 * the commit to the records is walked. The signature is not looked at: whoever imports wants the records, not the history,
 * and the key may be another hold's.
 * @throws {RepoError} car_invalid
 */
export function readCarRecords(bytes: Uint8Array): CarContent {
  const blocks = new CarBlocks(bytes)
  const { did, rev, data } = fieldsOf(blocks.get(blocks.root), 'the commit')
  const root = ifCid(data)
  if (typeof did !== 'string' || !isDid(did) || typeof rev !== 'string' || root === null) {
    throw carInvalid('its root is no commit')
  }
  const records: CarRecord[] = []
  let before = ''
  const visit = (cid: Cid, depth: number) => {
    if (depth > layerCountMax) throw carInvalid('the tree is too deep')
    const { left, entries } = nodeOf(blocks.get(cid))
    if (left !== null) visit(left, depth + 1)
    for (const { key, value, right } of entries) {
      // Rising keys also bound the walk: a subtree that two nodes share would be met twice.
      if (key <= before) throw carInvalid('the keys of the tree are not in order')
      before = key
      records.push(recordOf(key, blocks.get(value)))
      if (right !== null) visit(right, depth + 1)
    }
  }
  visit(root, 0)
  return { did, rev, records }
}

interface TreeNode {
  left: Cid | null
  entries: { key: string; value: Cid; right: Cid | null }[]
}

// https://atproto.com/specs/repository: each entry leaves out the `p` bytes that its key shares with the one before.
function nodeOf(block: LexValue): TreeNode {
  const { l, e } = fieldsOf(block, 'a tree node')
  if (!Array.isArray(e)) throw carInvalid('a tree node without entries')
  let before = ''
  const entries = e.map((entry) => {
    const { p, k, v, t } = fieldsOf(entry, 'a tree entry')
    const value = ifCid(v)
    if (typeof p !== 'number' || p > before.length || !(k instanceof Uint8Array) || value === null) {
      throw carInvalid('a tree entry of another form')
    }
    if (p + k.byteLength > keyBytesMax) throw carInvalid(`a key of more than ${keyBytesMax} bytes`)
    before = before.slice(0, p) + Buffer.from(k).toString('latin1')
    return { key: before, value, right: linkOf(t) }
  })
  return { left: linkOf(l), entries }
}

function linkOf(value: LexValue | undefined): Cid | null {
  if (value === null || value === undefined) return null
  const cid = ifCid(value)
  if (cid === null) throw carInvalid('a tree node that leads nowhere')
  return cid
}

function recordOf(key: string, block: LexValue): CarRecord {
  const [collection, rkey, ...rest] = key.split('/')
  if (collection === undefined || rkey === undefined || rest.length > 0) {
    throw carInvalid(`${JSON.stringify(key)} is not the path of a record`)
  }
  return { collection, rkey, value: fieldsOf(block, 'a record') }
}

function fieldsOf(value: LexValue, what: string): LexMap {
  const isMap =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array) &&
    ifCid(value) === null
  if (!isMap) throw carInvalid(`${what} is not an object`)
  return value as LexMap
}
