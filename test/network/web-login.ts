import type { BrowserTwin, PageAnswer } from './browser-twin.ts'
import type { Account } from './accounts.ts'
import { signInAtPds } from './oauth-sign-in.ts'

export const loginPath = '/auth/oauth/login'

/** Goes from the login form to the account's server and back; the answer of the callback. */
export async function signIn(
  browser: BrowserTwin,
  account: Pick<Account, 'handle' | 'did' | 'password'>,
  options: { actor?: string; next?: string; verdict?: 'consent' | 'reject' } = {},
): Promise<PageAnswer> {
  const { actor = account.handle, next = '' } = options
  const query = next === '' ? '' : `?${new URLSearchParams({ next }).toString()}`
  const { location, status, body } = await browser.submit(`${loginPath}${query}`, loginPath, { actor })
  if (status !== 303) throw new Error(`the login form answered ${status}: ${body}`)
  const back = await signInAtPds(new URL(location), account, options.verdict)
  return browser.get(back.pathname + back.search)
}
