import { expect, test } from 'vitest'

import { LineBudget } from './line-budget.ts'

test('so many lines a second, and then how many were left out', () => {
  const budget = new LineBudget({ perSecond: 2 })
  expect([budget.take(0), budget.take(10), budget.take(20), budget.take(999)]).toEqual([
    {},
    {},
    undefined,
    undefined,
  ])
  expect([budget.take(1000), budget.take(1001), budget.take(1002)]).toEqual([{ leftOut: 2 }, {}, undefined])
  expect(budget.take(5000)).toEqual({ leftOut: 1 })
})
