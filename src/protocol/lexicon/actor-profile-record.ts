import * as schema from './generated/app/bsky/actor/profile.ts'
import { plainBlob, readRecord } from './record.ts'

/** Collection of the one record by which an account shows itself on the network. */
export const actorProfileCollection = schema.$nsid
export const actorProfileRkey = 'self'

/** How an account shows itself; texts are clean: no control characters, nothing that turns the text around. */
export interface ActorProfileRecord {
  displayName?: string
  description?: string
  avatarCid?: string
}

const displayNameLengthMax = 64
const descriptionLengthMax = 2560

/** @throws RecordError */
export function parseActorProfileRecord(value: unknown): ActorProfileRecord {
  const { displayName = '', description = '', avatar } = readRecord(schema, value)
  const name = cut(oneLine(clean(displayName)), displayNameLengthMax)
  const about = cut(clean(description).trim(), descriptionLengthMax)
  return {
    ...(name !== '' && { displayName: name }),
    ...(about !== '' && { description: about }),
    ...(avatar !== undefined && { avatarCid: plainBlob(avatar).cid }),
  }
}

/** Without control characters except line ends, and without the marks that reverse the text around them. */
function clean(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu, '')
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}

/** By what people see as one character, so that none is cut apart. */
function cut(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text
  const characters = new Intl.Segmenter('en').segment(text)
  return [...characters].slice(0, lengthMax).map(({ segment }) => segment).join('') // prettier-ignore
}
