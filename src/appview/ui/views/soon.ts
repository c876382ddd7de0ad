import { waitAtMost } from '../../../lib/clock.ts'

/** A page does not wait longer for somebody who is slow to tell. */
const patienceMs = 4000

/** What somebody else tells, if he tells it soon. Not being told is no failure of the page. */
export async function soon<T>(telling: Promise<T>): Promise<T | undefined> {
  let told: T | undefined
  const heard = telling.then((value) => (told = value)).catch(() => undefined)
  await waitAtMost(patienceMs, heard)
  return told
}
