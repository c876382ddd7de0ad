import { expect, test } from 'vitest'

import { findTrace, parseTraceparent, traceOf, withTrace } from './trace.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const parentId = '00f067aa0ba902b7'

test.each([
  [`00-${traceId}-${parentId}-01`, { traceId, flags: '01' }],
  [`00-${traceId}-${parentId}-00`, { traceId, flags: '00' }],
  // Flags that are not known are not passed on; a later version may say more behind them.
  [`00-${traceId}-${parentId}-ff`, { traceId, flags: '01' }],
  [`cc-${traceId}-${parentId}-01-what-comes`, { traceId, flags: '01' }],
  [`00-${traceId}-${parentId}-01-more`, undefined],
  [`ff-${traceId}-${parentId}-01`, undefined],
  [`00-${'0'.repeat(32)}-${parentId}-01`, undefined],
  [`00-${traceId}-${'0'.repeat(16)}-01`, undefined],
  [`00-${traceId.toUpperCase()}-${parentId}-01`, undefined],
  [`00-${traceId}-${parentId}`, undefined],
  [`cc-${traceId}-${parentId}-01-${'x'.repeat(300)}`, undefined],
  ['', undefined],
])('traceparent %s', (text, wanted) => {
  expect(parseTraceparent(text)).toEqual(wanted)
})

test('a trace goes on under a span of our own, and one that was not given begins', () => {
  const trace = traceOf({ traceparent: `00-${traceId}-${parentId}-01`, 'x-request-id': 'abc' })
  expect(trace.fields).toMatchObject({ requestId: 'abc', traceId })
  expect(trace.fields.spanId).not.toBe(parentId)
  expect(trace.traceparent).toBe(`00-${traceId}-${trace.fields.spanId}-01`)
  const other = traceOf({ 'x-request-id': 'not plain' })
  expect(other.requestId).not.toBe('not plain')
  expect(parseTraceparent(other.traceparent)).toEqual({ traceId: other.fields.traceId, flags: '00' })
})

test('work is part of the trace that it was begun in, whatever runs beside it', async () => {
  const [a, b] = [traceOf({ 'x-request-id': 'a' }), traceOf({ 'x-request-id': 'b' })]
  const seen = (trace: typeof a) =>
    withTrace(trace, async () => {
      await new Promise((resolve) => setImmediate(resolve))
      return findTrace()?.requestId
    })
  expect(await Promise.all([seen(a), seen(b)])).toEqual(['a', 'b'])
  expect(withTrace(a, () => withTrace(undefined, () => findTrace()))).toBeUndefined()
  expect(findTrace()).toBeUndefined()
})
