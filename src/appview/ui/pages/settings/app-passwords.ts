import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { age } from '../../../../http/page-parts.ts'
import { formatCount } from '../../../../lib/format.ts'
import type { LoginCommand } from '../../views/login-commands.ts'
import { command } from '../parts.ts'
import { settingsPage, type SettingsShell } from './frame.ts'

export interface AppPasswordsView {
  commands: readonly LoginCommand[]
  pdsUrl: string | undefined
  /** What is kept of passwords that were used here. */
  kept: { passwordCount: number; checkedAt?: Date } | undefined
  now: Date
  done: string | undefined
}

/** What app passwords are, how to use one here, and what is kept of those that were used. */
export function appPasswordsPage(shell: SettingsShell, view: AppPasswordsView): Html {
  return settingsPage(shell, {
    place: '/settings/app-passwords',
    title: 'App passwords',
    lead: 'A second way in, for CI and machines without the credential helper: a password of your account that you make at your data server, for one purpose, and take back there.',
    done: view.done,
    main: html`
      ${keptSection(view, shell.account.formToken)} ${makingSection(view.pdsUrl)}
      <section aria-labelledby="use">
        <h2 id="use">Use one</h2>
        <p>Your handle is the user name. Where a command asks for a password, paste the app password.</p>
        <dl class="pulls wide">
          ${view.commands.map(
            ({ client, text }) =>
              html`<div>
                <dt>${client}</dt>
                <dd>${command(text, `Copy the lines for ${client}`)}</dd>
              </div>`,
          )}
        </dl>
        <p class="note">
          In CI, keep the password as a secret named <code>ATCR_APP_PASSWORD</code>. Never use the password of
          the account itself: it could not be taken back alone.
        </p>
      </section>
    `,
  })
}

function makingSection(pdsUrl: string | undefined): Html {
  return html`<section aria-labelledby="make">
    <h2 id="make">Make one, or take one back</h2>
    <ol class="steps">
      <li>
        <p>
          Open the settings of your account, in the app you use it with. In Bluesky that is
          <a href="https://bsky.app/settings/app-passwords" rel="noreferrer"
            >Privacy and security, App passwords</a
          >, whichever server you are
          on${pdsUrl !== undefined && html`; yours is <a href="${pdsUrl}" rel="noreferrer">${new URL(pdsUrl).host}</a>`}.
        </p>
      </li>
      <li><p>Add a password, and name it after what it is for. It is shown once.</p></li>
      <li>
        <p>
          To take it back, delete it in the same place. This registry asks your server about a password once
          an hour; to have it asked at the next use, forget what is kept of it above.
        </p>
      </li>
    </ol>
  </section>`
}

function keptSection({ kept, now }: AppPasswordsView, formToken: string): Html {
  if (kept === undefined)
    return html`<section aria-label="In use"><p class="empty">No app password is in use here.</p></section>`
  return html`<section class="panel stack" aria-labelledby="kept">
    <h2 id="kept">In use</h2>
    <p>
      ${kept.passwordCount === 1 ? 'An app password was' : `${formatCount(kept.passwordCount, 'app password')} were`}
      used
      here${kept.checkedAt !== undefined && html`; your server accepted one ${age(kept.checkedAt, now)}`}.
      This registry keeps a session with your server, encrypted, to write records of what is pushed. The
      password itself is not kept.
    </p>
    <form method="post" action="/settings/app-passwords/forget">
      ${formTokenField(formToken)}
      <button class="button">Forget it</button>
    </form>
  </section>`
}
