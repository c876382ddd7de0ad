import { expect, test } from 'vitest'

import type { Identity } from '../../atproto/identity.ts'
import type { Did } from '../../atproto/syntax.ts'
import { PdsProfiles } from './pds-profiles.ts'
import { PdsReads } from './pds-reads.ts'

const did: Did = 'did:plc:alice'
const at = '2026-01-01T00:00:00Z'

/** Profiles of an account whose PDS has these records. */
function profiles(records: { profile?: object; holds?: object[] }) {
  const identity: Identity = {
    did,
    handle: undefined,
    pdsUrl: 'https://pds.example',
    holdUrl: undefined,
    document: { id: did },
  }
  const fetch = async (url: URL | Request | string) => {
    const { pathname, searchParams } = new URL(url instanceof Request ? url.url : url)
    const collection = searchParams.get('collection') ?? ''
    const uri = `at://${did}/${collection}/self`
    if (pathname.endsWith('listRecords')) {
      const cid = 'bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a'
      return Response.json({ records: (records.holds ?? []).map((value) => ({ uri, cid, value })) })
    }
    if (records.profile === undefined)
      return Response.json({ error: 'RecordNotFound', message: 'none' }, { status: 400 })
    return Response.json({ uri, value: records.profile })
  }
  const reads = new PdsReads({ identities: { resolveDid: async () => identity }, fetch })
  const session = async () => ({ did, pdsUrl: 'https://pds.example', fetchHandler: fetch })
  return new PdsProfiles({ reads, sessions: { session }, now: () => new Date(at) })
}

const profile = (more: object) => ({ $type: 'io.atcr.sailor.profile', createdAt: at, ...more })
const registration = (owner: string) => ({
  $type: 'io.atcr.hold',
  endpoint: 'https://old.example',
  owner,
  createdAt: at,
})

test.each([
  ['a DID', { profile: profile({ defaultHold: 'did:web:hold.example' }) }, 'did:web:hold.example'],
  [
    'a URL, as older software wrote',
    { profile: profile({ defaultHold: 'https://hold.example:8443' }) },
    'did:web:hold.example%3A8443',
  ],
  ['none: opted out', { profile: profile({}), holds: [registration(did)] }, 'none'],
  ['no profile', {}, undefined],
  ['no profile, but a hold registered the old way', { holds: [registration(did)] }, 'did:web:old.example'],
  [
    'no profile, and somebody else’s registration',
    { holds: [registration('did:plc:bob'), { x: 1 }] },
    undefined,
  ],
  ['rubbish', { profile: { $type: 'io.atcr.sailor.profile', defaultHold: 7 } }, undefined],
])('the profile names %s', async (_what, records, hold) => {
  expect(await profiles(records).findDefaultHold(did)).toBe(hold)
})
