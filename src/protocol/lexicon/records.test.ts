import { jsonToLex } from '@atproto/lex'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { digestOfBytes } from '../oci/digest.ts'
import { buildCaptainRecord, changeCaptainRecord, parseCaptainRecord } from './captain-record.ts'
import { buildCrewRecord, crewRkey, parseCrewRecord } from './crew-record.ts'
import * as captainSchema from './generated/io/atcr/hold/captain.ts'
import * as crewSchema from './generated/io/atcr/hold/crew.ts'
import * as layerSchema from './generated/io/atcr/hold/layer.ts'
import * as pageSchema from './generated/io/atcr/repo/page.ts'
import * as profileSchema from './generated/io/atcr/sailor/profile.ts'
import * as starSchema from './generated/io/atcr/sailor/star.ts'
import * as tagSchema from './generated/io/atcr/tag.ts'
import { buildLayerRecord, parseLayerRecord } from './layer-record.ts'
import { manifestRkey, parseManifestRecord } from './manifest-record.ts'
import { derivedRkey, RecordError, splitAtUri } from './record.ts'
import {
  buildRepoPageRecord,
  parseRepoPageRecord,
  repoPageRkey,
  repositoryOfRepoPageRkey,
} from './repo-page-record.ts'
import { buildSailorProfileRecord, parseSailorProfileRecord } from './sailor-profile-record.ts'
import { buildStarRecord, parseStarRecord } from './star-record.ts'
import { buildTagRecord, parseTagRecord, tagRkey } from './tag-record.ts'

const did = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz'
const digest = digestOfBytes(new Uint8Array([1]))
const at = new Date('2026-01-02T03:04:05Z')
const atText = '2026-01-02T03:04:05.000Z'
const rkeyGrammar = /^[A-Za-z0-9._:~-]{1,512}$/

const built = {
  tag: buildTagRecord({
    ownerDid: did,
    repository: 'team/app',
    tag: 'v1',
    digest,
    createdAt: at,
    updatedAt: at,
  }),
  captain: buildCaptainRecord({
    ownerDid: did,
    isPublic: true,
    allowAllCrew: false,
    enableBlueskyPosts: false,
    deployedAt: at,
    successorDid: 'did:web:hold.example',
    region: 'eu',
  }),
  crew: buildCrewRecord({
    memberDid: did,
    role: 'member',
    permissions: ['blob:read'],
    tier: 'deckhand',
    addedAt: at,
  }),
  profile: buildSailorProfileRecord({ defaultHoldDid: 'did:web:hold.example', createdAt: at, updatedAt: at }),
  star: buildStarRecord({ ownerDid: did, repository: 'team/app', createdAt: at }),
  page: buildRepoPageRecord({ repository: 'team/app', description: '# Hi', createdAt: at, updatedAt: at }),
  layer: buildLayerRecord({
    digest,
    sizeBytes: 5,
    mediaType: 'a/b',
    manifestUri: `at://${did}/io.atcr.manifest/${manifestRkey(digest)}`,
    userDid: did,
    createdAt: at,
  }),
}

test.each([
  ['tag', tagSchema],
  ['captain', captainSchema],
  ['crew', crewSchema],
  ['profile', profileSchema],
  ['star', starSchema],
  ['page', pageSchema],
  ['layer', layerSchema],
] as const)('the %s record we write is valid', (name, schema) => {
  expect(schema.$safeParse(jsonToLex(built[name] as never)).success).toBe(true)
})

describe('records we write read back', () => {
  test('tag', () => {
    expect(parseTagRecord(built.tag)).toEqual({
      repository: 'team/app',
      tag: 'v1',
      digest,
      manifestOwnerDid: did,
      createdAt: atText,
      updatedAt: atText,
    })
  })

  test('captain', () => {
    expect(parseCaptainRecord(built.captain)).toEqual({
      ownerDid: did,
      isPublic: true,
      allowAllCrew: false,
      enableBlueskyPosts: false,
      deployedAt: atText,
      region: 'eu',
      successorDid: 'did:web:hold.example',
      supporterBadgeTiers: [],
    })
  })

  test('crew', () => {
    expect(parseCrewRecord(built.crew)).toEqual({
      memberDid: did,
      role: 'member',
      permissions: ['blob:read'],
      tier: 'deckhand',
      addedAt: atText,
    })
  })

  test('profile', () => {
    expect(parseSailorProfileRecord(built.profile)).toEqual({
      defaultHoldDid: 'did:web:hold.example',
      autoRemoveUntagged: false,
      createdAt: atText,
      updatedAt: atText,
    })
  })

  test('star, page, layer', () => {
    expect(parseStarRecord(built.star)).toEqual({ ownerDid: did, repository: 'team/app', createdAt: atText })
    expect(parseRepoPageRecord(built.page).description).toBe('# Hi')
    expect(parseLayerRecord(built.layer)).toMatchObject({ digest, sizeBytes: 5, userDid: did })
  })
})

describe('legacy shapes', () => {
  test('a tag with a digest, and only one time', () => {
    const legacy = { $type: 'io.atcr.tag', repository: 'app', tag: 'v1', manifestDigest: digest }
    expect(parseTagRecord({ ...legacy, updatedAt: atText })).toEqual({
      repository: 'app',
      tag: 'v1',
      digest,
      createdAt: atText,
      updatedAt: atText,
    })
    expect(parseTagRecord({ ...legacy, createdAt: atText }).updatedAt).toBe(atText)
    expect(parseTagRecord(legacy).createdAt).toBe('1970-01-01T00:00:00.000Z')
  })

  test('a profile with the URL of its hold, and one without a hold', () => {
    const profile = { $type: 'io.atcr.sailor.profile', createdAt: atText }
    expect(parseSailorProfileRecord({ ...profile, defaultHold: 'https://hold.example' })).toMatchObject({
      defaultHoldUrl: 'https://hold.example',
    })
    expect(parseSailorProfileRecord(profile)).toEqual({
      autoRemoveUntagged: false,
      createdAt: atText,
      updatedAt: atText,
    })
    expect(() => parseSailorProfileRecord({ ...profile, defaultHold: 'javascript:alert(1)' })).toThrow(
      RecordError,
    )
  })

  test('a star on an object', () => {
    const star = { $type: 'io.atcr.sailor.star', createdAt: atText, subject: { did, repository: 'team/app' } }
    expect(parseStarRecord(star)).toEqual({ ownerDid: did, repository: 'team/app', createdAt: atText })
  })

  test('a layer with its repository', () => {
    const { manifest: _, ...rest } = built.layer
    const legacy = { ...rest, repository: 'app', userHandle: 'alice.test' }
    expect(parseLayerRecord(legacy)).toEqual({
      digest,
      sizeBytes: 5,
      mediaType: 'a/b',
      repository: 'app',
      userDid: did,
      createdAt: atText,
    })
    const { repository: _repository, ...neither } = legacy
    expect(() => parseLayerRecord(neither)).toThrow(RecordError)
  })

  test('a captain from before posts', () => {
    const { enableBlueskyPosts: _, ...legacy } = built.captain
    expect(parseCaptainRecord(legacy).enableBlueskyPosts).toBe(false)
    const changed = changeCaptainRecord({ ...legacy, provider: 'x' }, { region: 'eu' })
    expect(changed).toEqual({ ...legacy, provider: 'x', enableBlueskyPosts: false, region: 'eu' })
  })
})

describe('what is refused', () => {
  const manifestOf = (uri: string) => ({ ...built.tag, manifest: uri })
  test.each<[string, (value: unknown) => unknown, unknown]>([
    [
      'a tag on another collection',
      parseTagRecord,
      manifestOf(`at://${did}/io.atcr.tag/${manifestRkey(digest)}`),
    ],
    ['a tag on no digest', parseTagRecord, manifestOf(`at://${did}/io.atcr.manifest/self`)],
    ['a tag on nothing', parseTagRecord, { ...built.tag, manifest: undefined }],
    ['a tag that is none', parseTagRecord, { ...built.tag, tag: '-x' }],
    ['a star on something else', parseStarRecord, { ...built.star, subject: `at://${did}/io.atcr.tag/app` }],
    ['a star on a text', parseStarRecord, { ...built.star, subject: 'app' }],
    ['a star on nothing', parseStarRecord, { ...built.star, subject: undefined }],
    ['a page of no repository', parseRepoPageRecord, { ...built.page, repository: 'App' }],
    ['a crew member without a DID', parseCrewRecord, { ...built.crew, member: 'alice.test' }],
    ['a captain of text', parseCaptainRecord, { ...built.captain, public: 'yes' }],
  ])('%s', (_, parse, value) => {
    expect(() => parse(value)).toThrow(RecordError)
  })

  test('whatever comes is a record or a RecordError', () => {
    const parsers = [
      parseManifestRecord,
      parseTagRecord,
      parseCaptainRecord,
      parseCrewRecord,
      parseSailorProfileRecord,
      parseStarRecord,
      parseRepoPageRecord,
      parseLayerRecord,
    ]
    fc.assert(
      fc.property(fc.constantFrom(...parsers), fc.anything(), (parse, value) => {
        try {
          parse(value)
        } catch (error) {
          expect(error).toBeInstanceOf(RecordError)
        }
      }),
    )
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(built.tag)), fc.jsonValue(), (key, value) => {
        try {
          parseTagRecord({ ...built.tag, [key]: value })
        } catch (error) {
          expect(error).toBeInstanceOf(RecordError)
        }
      }),
    )
  })
})

describe('record keys', () => {
  test('of tags and pages write / as ~', () => {
    expect(tagRkey('team/app', 'v1.0')).toBe('team~app_v1.0')
    expect(repoPageRkey('team/app')).toBe('team~app')
    expect(repositoryOfRepoPageRkey('team~app')).toBe('team/app')
    expect(repositoryOfRepoPageRkey('~')).toBeUndefined()
  })

  test('derived ones are the same every time and fit ATProto', () => {
    expect(crewRkey(did)).toBe(crewRkey(did))
    expect(crewRkey(did)).not.toBe(crewRkey(`${did}x`))
    expect(crewRkey(did)).toMatch(rkeyGrammar)
  })

  test('derived ones are base32 of sha256', () => {
    // printf '' | sha256sum | xxd -r -p | base32 | tr A-Z a-z | head -c 26
    expect(derivedRkey('')).toBe('4oymiquy7qobjgx36tejs35zeq')
  })

  test('AT-URIs are taken apart only when they name a record of a DID', () => {
    expect(splitAtUri(`at://${did}/io.atcr.tag/x`)).toEqual({ did, collection: 'io.atcr.tag', rkey: 'x' })
    for (const text of [
      '',
      'at://',
      `at://${did}`,
      `at://${did}/io.atcr.tag`,
      'at://alice.test/a.b.c/x',
      `at://${did}/a/x/y`,
    ]) {
      expect(splitAtUri(text)).toBeUndefined()
    }
  })
})
