import type { AtprotoErrorCode } from './errors.ts'

const advice: Partial<Record<AtprotoErrorCode, string>> & { bad_answer: string } = {
  handle_unresolved:
    'Nobody was found under this handle. Check the spelling; it looks like alice.example.com.',
  did_unresolved: 'Nobody was found under this DID.',
  unreachable: 'The server of this account did not answer. Try again in a moment.',
  address_refused:
    'Signing in does not work at this address: servers of accounts know only hosts with a public name. Ask the operator of this site.',
  rate_limited: 'The server of this account asks to wait. Try again in a few minutes.',
  login_denied: 'You did not give access, so you are not signed in. Nothing else has happened.',
  login_unknown: 'This login was begun in another browser, or too long ago. Begin again.',
  scope_missing:
    'Your server did not grant all that was asked for, so you are not signed in. Its software may be too old.',
  auth_failed: 'The server of this account refused the login. Try again.',
  bad_answer: 'This account cannot be signed in: its server did not answer as expected.',
}

/** What to tell somebody whose login failed: what happened, and what to do. */
export function loginAdvice(code: AtprotoErrorCode): string {
  return advice[code] ?? advice.bad_answer
}
