import { beforeEach, expect, test } from 'vitest'

import { openDatabase, type Database } from '../../lib/database.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { SignOuts } from './sign-outs.ts'

const did = 'did:plc:alice'
const day = (date: number) => new Date(Date.UTC(2026, 0, date)).toISOString()
const never = new Promise<void>(() => undefined)

let db: Database<AppViewTables>
let ended: string[]
let answer: Promise<void>
let signOuts: SignOuts

beforeEach(async () => {
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  await db
    .insertInto('oauth_sessions')
    .values({ did, sealed: 'x', updated_at: day(1) })
    .execute()
  ended = []
  answer = Promise.resolve()
  const note = async (what: string) => void ended.push(what)
  const noteAndAsk = (what: string) => note(what).then(() => answer)
  signOuts = new SignOuts({
    db,
    webSessions: {
      delete: (_did, id) => note(`browser ${id}`),
      deleteAll: () => note('all browsers'),
      endings: () => ({ used: day(1), created: day(1) }),
    },
    oauthLogins: { signOut: () => noteAndAsk('OAuth') },
    pdsAccounts: { forget: () => noteAndAsk('app passwords') },
    refreshTokens: { deleteOfPasswords: () => note('refresh tokens of app passwords') },
    patienceMs: 20,
    now: () => new Date(day(20)),
  })
})

const everything = ['OAuth', 'all browsers', 'app passwords', 'refresh tokens of app passwords']

test('everywhere means browsers, tokens, app passwords, and what clients were given for them', async () => {
  await signOuts.signOutEverywhere(did)
  expect(ended.toSorted()).toEqual(everything)
})

test('of one browser means that browser, and the tokens when nothing else uses them', async () => {
  await signOuts.signOut(did, 'one')
  expect(ended).toEqual(['browser one', 'OAuth'])
})

test('a PDS that does not answer holds nobody up', async () => {
  answer = never
  await signOuts.signOutEverywhere(did)
  expect(ended.toSorted()).toEqual(everything)
  await signOuts.signOut(did, 'one')
  await signOuts.forgetAppPasswords(did)
})

test('what fails here is told', async () => {
  answer = Promise.reject(new Error('no database'))
  await expect(signOuts.signOutEverywhere(did)).rejects.toThrow('no database')
})
