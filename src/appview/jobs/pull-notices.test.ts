import { beforeEach, expect, test } from 'vitest'

import { logger } from '../../lib/log.ts'
import type { Did } from '../../atproto/syntax.ts'
import { digestOfBytes } from '../../protocol/oci/digest.ts'
import { AppViewError } from '../errors.ts'
import type { ManifestNotice } from '../ports/hold-notifier.ts'
import { PullNotices } from './pull-notices.ts'

const digest = digestOfBytes(Buffer.from('x'), 'sha256')
const pull = { holdDid: 'did:web:hold.test', ownerDid: 'did:plc:alice', repository: 'app', digest, reader: undefined } as const // prettier-ignore

let told: { as: Did | undefined; holdDid: Did; notice: ManifestNotice }[]
let failure: ((holdDid: Did, as: Did | undefined) => AppViewError | undefined) | undefined
let notices: PullNotices

beforeEach(() => {
  told = []
  failure = undefined
  const tell = async (holdDid: Did, as: Did | undefined, notice: ManifestNotice) => {
    told.push({ as, holdDid, notice })
    const error = failure?.(holdDid, as)
    if (error !== undefined) throw error
  }
  notices = new PullNotices({
    notifier: {
      notify: ({ holdDid, accountDid }, notice) => tell(holdDid, accountDid, notice),
      notifyAsNobody: (holdDid, notice) => tell(holdDid, undefined, notice),
    },
    log: logger('test'),
  })
})

const counts = () => told.map(({ notice }) => [notice.repository, notice.count])

test('a thousand pulls of a repository are one notice', async () => {
  for (let index = 0; index < 1000; index++) notices.note(pull)
  notices.note({ ...pull, repository: 'other' })
  await notices.flush()
  expect(counts()).toEqual([
    ['app', 1000],
    ['other', 1],
  ])
  await notices.flush()
  expect(told).toHaveLength(2)
})

test('a hold that is down is asked once a round, and told when it is back; one that is down for long is given up', async () => {
  failure = (holdDid) => (holdDid === pull.holdDid ? new AppViewError('hold_unreachable', 'down') : undefined)
  notices.note(pull)
  notices.note({ ...pull, repository: 'other' })
  notices.note({ ...pull, holdDid: 'did:web:up.test', repository: 'up' })
  await notices.flush()
  expect(counts().toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual([
    ['app', 1],
    ['up', 1],
  ])
  notices.note(pull)
  failure = undefined
  told = []
  await notices.flush()
  expect(counts()).toEqual([
    ['app', 2],
    ['other', 1],
  ])
  failure = () => new AppViewError('hold_unreachable', 'down')
  notices.note(pull)
  for (let round = 0; round < 20; round++) await notices.flush()
  expect(told).toHaveLength(2 + 12)
})

test('a private hold hears it from whoever pulled; a refusal is final', async () => {
  failure = (_, as) => (as === undefined ? new AppViewError('hold_refused', 'who?') : undefined)
  notices.note({ ...pull, reader: 'did:plc:bob' })
  notices.note({ ...pull, repository: 'anonymous' })
  await notices.flush()
  expect(told.map(({ as, notice }) => [as, notice.repository])).toEqual([
    [undefined, 'app'],
    ['did:plc:bob', 'app'],
    [undefined, 'anonymous'],
  ])
  await notices.flush()
  expect(told).toHaveLength(3)
})

test('what is too much for one notice, or one round, waits for the next', async () => {
  for (let index = 0; index < 10_001; index++) notices.note(pull)
  for (let index = 0; index < 600; index++) notices.note({ ...pull, repository: `r${index}` })
  await notices.flush()
  expect(told).toHaveLength(500)
  expect(counts()[0]).toEqual(['app', 10_000])
  await notices.flush()
  expect(told).toHaveLength(500 + 102)
  expect(told.filter(({ notice }) => notice.repository === 'app').map(({ notice }) => notice.count)).toEqual([10_000, 1]) // prettier-ignore
})

test('a stop tells what waits', async () => {
  notices.start()
  notices.note(pull)
  await notices[Symbol.asyncDispose]()
  expect(counts()).toEqual([['app', 1]])
})
