import { isIP } from 'node:net'

import type { WebhookForm } from '../db/schema.ts'

/** Discord's and Slack's are about 120 long; some services put a signed token into theirs. */
export const webhookUrlLengthMax = 2000

/** Where a webhook leads, or what is wrong with what was typed. */
export type WebhookAddress =
  | { ok: true; url: string; host: string; form: WebhookForm }
  | { ok: false; problem: string }

/**
 * Reads the address of a webhook: https, a name that is not obviously of a private network, nothing that identifies
 * us to the server. What the name resolves to is looked at again at every attempt. `allowsPrivate` (test mode) lets
 * plain http and addresses of any network through.
 */
export function readWebhookAddress(
  text: string,
  { allowsPrivate }: { allowsPrivate: boolean },
): WebhookAddress {
  const no = (problem: string): WebhookAddress => ({ ok: false, problem })
  if (text === '') return no('Where should it be told? Give an address that begins with https://.')
  if (text.length > webhookUrlLengthMax)
    return no(`An address has at most ${webhookUrlLengthMax} characters.`)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol))
    return no('This is no address of a web server; it begins with https://.')
  if (url.username !== '' || url.password !== '')
    return no('Leave user name and password out of the address; check the signature instead.')
  if (url.hash !== '') return no('Leave out what begins with #; it would not be sent.')
  if (!allowsPrivate) {
    if (url.protocol !== 'https:') return no('It has to be https://, so that nobody on the way can read it.')
    if (isIP(url.hostname.replaceAll(/^\[|\]$/g, '')) !== 0)
      return no('Give the name of the server, not its IP address.')
    if (isPrivateName(url.hostname)) return no('This name is none that others can reach; use a public one.')
  }
  return { ok: true, url: url.href, host: url.host, form: formOf(url) }
}

/** Names that mean something on one machine or one network only (RFC 6761, RFC 6762, RFC 8375, RFC 9476). */
function isPrivateName(hostname: string): boolean {
  const name = hostname.replace(/\.$/, '').toLowerCase()
  return (
    !name.includes('.') ||
    /\.(?:localhost|local|internal|home\.arpa|invalid|test|example|onion|alt)$/.test(name)
  )
}

const discordHosts = /^(?:(?:ptb|canary)\.)?discord(?:app)?\.com$/
const slackHosts = /^hooks\.slack(?:-gov)?\.com$/

/** Chat services do not understand our words. Discord takes Slack's too, at an address that says so. */
function formOf({ hostname, pathname }: URL): WebhookForm {
  if (slackHosts.test(hostname)) return 'slack'
  if (!discordHosts.test(hostname) || !pathname.startsWith('/api/')) return 'json'
  return /\/slack\/?$/.test(pathname) ? 'slack' : 'discord'
}
