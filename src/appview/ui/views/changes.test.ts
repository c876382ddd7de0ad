import fc from 'fast-check'
import { expect, test } from 'vitest'

import { changedList, changedTexts } from './changes.ts'

test('what is removed and what is added make the one from the other', () => {
  const letters = fc.array(fc.constantFrom('a', 'b', 'c'))
  fc.assert(
    fc.property(letters, letters, (from, to) => {
      const { added, kept, removed } = changedList(from, to, (letter) => letter)
      expect([...kept, ...removed].toSorted()).toEqual(from.toSorted())
      expect([...kept, ...added].toSorted()).toEqual(to.toSorted())
      expect(added.filter((letter) => removed.includes(letter))).toEqual([])
    }),
  )
})

test('texts are compared by name', () => {
  const from = [
    { name: 'a', text: '1' },
    { name: 'b', text: '2' },
    { name: 'c', text: '3' },
  ]
  const to = [
    { name: 'c', text: '3' },
    { name: 'b', text: '' },
    { name: 'd', text: '4' },
  ]
  expect(changedTexts(from, to)).toEqual([
    { name: 'a', from: '1', to: undefined },
    { name: 'b', from: '2', to: '' },
    { name: 'd', from: undefined, to: '4' },
  ])
})
