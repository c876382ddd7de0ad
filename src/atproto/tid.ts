// https://atproto.com/specs/tid: microseconds since 1970 and ten bits of a clock's own, in a base32 that sorts.

const alphabet = '234567abcdefghijklmnopqrstuvwxyz'

/** Milliseconds since 1970 of a TID; undefined for any other text. */
export function timeOfTid(tid: string): number | undefined {
  if (!/^[2-7a-j][2-7a-z]{12}$/.test(tid)) return undefined
  let value = 0n
  for (const letter of tid) value = value * 32n + BigInt(alphabet.indexOf(letter))
  return Number((value >> 10n) / 1000n)
}

/** The last TID of a microsecond: every commit made until then has a `rev` that sorts before it, or is it. */
export function lastTidOf(timeMicros: number): string {
  let value = (BigInt(Math.max(timeMicros, 0)) << 10n) | 1023n
  let tid = ''
  for (let digit = 0; digit < 13; digit++) {
    tid = `${alphabet[Number(value & 31n)]}${tid}`
    value >>= 5n
  }
  return tid
}
