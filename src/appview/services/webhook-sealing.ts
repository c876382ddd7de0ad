import type { Did } from '../../atproto/syntax.ts'
import type { Sealing } from './sealing.ts'

/** What of a webhook is secret. */
export interface WebhookSecrets {
  url: string
  /** What messages are signed with. */
  secret: string
}

interface Place {
  id: string
  owner_did: Did
}

/** Bound to webhook and account: a row of another account does not open. */
const contextOf = ({ id, owner_did }: Place) => `webhook ${id} of ${owner_did}`

export function sealWebhook(sealing: Pick<Sealing, 'seal'>, place: Place, secrets: WebhookSecrets): string {
  return sealing.seal(JSON.stringify(secrets), contextOf(place))
}

/** Undefined when the key file is another one, or the row is damaged. */
export function openWebhook(
  sealing: Pick<Sealing, 'open'>,
  row: Place & { sealed: string },
): WebhookSecrets | undefined {
  const text = sealing.open(row.sealed, contextOf(row))
  return text === undefined ? undefined : (JSON.parse(text) as WebhookSecrets)
}
