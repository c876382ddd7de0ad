import { html, type Html } from '../../../../http/html.ts'
import { command } from '../parts.ts'
import { settingsPage, type SettingsShell } from './frame.ts'

/** The one time that a secret is shown. */
export function webhookSecretPage(
  shell: SettingsShell,
  { id, isNew, secret }: { id: string; secret: string; isNew: boolean },
): Html {
  return settingsPage(shell, {
    place: '/settings/webhooks',
    title: isNew ? 'Webhook added' : 'A new secret',
    lead: 'With this secret your server can tell that a message is from this registry. It is shown this once.',
    done: undefined,
    main: html`
      <section class="panel stack" aria-label="The secret">
        ${command(secret, 'Copy the secret')}
        <p>
          Every message carries the header <code>X-ATCR-Signature-256</code>: <code>sha256=</code> and the
          HMAC-SHA256 of the body under this secret, in hex. Compute the same over the bytes that arrive, and
          refuse what differs.
        </p>
        <p><a class="button primary" href="/settings/webhooks/${id}">I have kept it</a></p>
      </section>
    `,
  })
}
