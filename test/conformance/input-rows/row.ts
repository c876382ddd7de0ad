import { expect } from 'vitest'

import type { RawAnswer } from '../raw-http.ts'
import type { RegistryUnderTest } from '../registry-under-test.ts'

/** What a row asks of a registry, beyond the spec's core. */
export type RowNeed = 'tokens' | 'signing key' | 'relay'

/** One line of the table: a bad input and the answers that are right. */
export interface Row {
  name: string
  /** Statuses that are right. */
  status: number[]
  /** Codes that are right, for errors with a body. */
  codes?: string[]
  needs?: RowNeed[]
  /** The HTTP server itself may refuse this, before anything of ours can answer in JSON. */
  mayBeRefusedUnread?: boolean
  /** Sends the input, and whatever has to come before it; answers with the answer in question. */
  run: (registry: RegistryUnderTest) => Promise<RawAnswer>
  /** What else must be so afterwards. */
  afterwards?: (registry: RegistryUnderTest, answer: RawAnswer) => Promise<void> | void
}

/** Judges one answer by its row. What holds for every row: no 5xx, errors in the registry's own JSON. */
export function judge(row: Row, answer: RawAnswer): void {
  const text = answer.body.toString()
  const shown = `${answer.status} ${text.slice(0, 300)}`
  expect(row.status, shown).toContain(answer.status)
  if (answer.status < 400 || answer.body.byteLength === 0) return
  if (row.mayBeRefusedUnread && answer.status === 400 && !text.startsWith('{')) return
  expect(answer.headers.get('content-type'), shown).toMatch(/^application\/json/)
  const { errors } = JSON.parse(text) as { errors: { code: string; message: string }[] }
  expect(errors.length, shown).toBeGreaterThan(0)
  for (const { code, message } of errors) {
    if (row.codes) expect(row.codes, shown).toContain(code)
    expect(code, shown).toMatch(/^[A-Z_]+$/)
    expect(message, shown).not.toMatch(/node_modules|\.ts:\d+|\n\s+at /)
  }
  if (answer.status === 401)
    expect(answer.headers.get('www-authenticate'), shown).toMatch(/^(?:Bearer|Basic) realm=/)
}
