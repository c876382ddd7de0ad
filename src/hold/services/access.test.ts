import { expect, test } from 'vitest'

import type { CrewPermission } from '../../protocol/lexicon/crew-record.ts'
import { decideAccess, type Action } from './access.ts'

const captainDid = 'did:web:localhost%3A1'

// Row for row: who → read on a public hold, read on a private one, write, crew admin.
const matrix: [string, CrewPermission[] | undefined | 'captain' | 'anonymous', string][] = [
  ['anonymous', 'anonymous', 'yes no no no'],
  ['captain', 'captain', 'yes yes yes yes'],
  ['crew blob:read', ['blob:read'], 'yes yes no no'],
  ['crew blob:write', ['blob:write'], 'yes yes yes no'],
  ['crew crew:admin', ['crew:admin'], 'yes yes yes yes'],
  ['crew without permissions', [], 'yes no no no'],
  ['signed in, not crew', undefined, 'yes no no no'],
]

test.each(matrix)('%s', (_, who, wanted) => {
  const ask = (action: Action, isPublic: boolean) =>
    decideAccess({
      action,
      callerDid: who === 'anonymous' ? undefined : who === 'captain' ? 'did:web:localhost:1' : 'did:plc:crew',
      captain: { ownerDid: captainDid, isPublic },
      permissions: Array.isArray(who) ? who : undefined,
    }).isAllowed
  const answers = [
    ask('blob:read', true),
    ask('blob:read', false),
    ask('blob:write', true),
    ask('crew:admin', true),
  ]
  expect(answers.map((isAllowed) => (isAllowed ? 'yes' : 'no')).join(' ')).toBe(wanted)
  expect(ask('blob:write', false)).toBe(ask('blob:write', true))
})
