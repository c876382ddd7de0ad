import * as post from './generated/app/bsky/feed/post.ts'
import type { JsonRecord } from './record.ts'

/** Collection of Bluesky posts; keys are TIDs. */
export const postCollection = post.$nsid

/** What a post may have. Everything in ours but the ellipsis is ASCII, so that characters are graphemes. */
const textLengthMax = 300

/** A tag that was pushed, as others are told of it. */
export interface PushedTag {
  ownerDid: string
  /** Verified; undefined when there is none, then the DID stands for it. */
  handle: string | undefined
  repository: string
  tag: string
  /** The repository's page at an AppView. */
  pageUrl: string | undefined
  createdAt: Date
}

/** A Bluesky post: who pushed what, with links on both. */
export function buildPushPost({
  ownerDid,
  handle,
  repository,
  tag,
  pageUrl,
  createdAt,
}: PushedTag): JsonRecord {
  const who = handle === undefined ? ownerDid.slice(0, 250) : `@${handle}`
  const verb = ' pushed '
  const what = shorten(`${repository}:${tag}`, textLengthMax - who.length - verb.length)
  const facets = [facet('', who, { $type: 'app.bsky.richtext.facet#mention', did: ownerDid })]
  if (pageUrl !== undefined) {
    facets.push(facet(who + verb, what, { $type: 'app.bsky.richtext.facet#link', uri: pageUrl }))
  }
  const text = who + verb + what
  return { $type: postCollection, text, facets, langs: ['en'], createdAt: createdAt.toISOString() }
}

/** Facets count bytes of UTF-8, not characters. */
function facet(before: string, text: string, feature: Record<string, string>) {
  const byteStart = Buffer.byteLength(before)
  return { index: { byteStart, byteEnd: byteStart + Buffer.byteLength(text) }, features: [feature] }
}

function shorten(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1)}…`
}
