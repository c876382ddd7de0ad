import { formTokenField } from './forms.ts'
import { html, type Html } from './html.ts'
import { fieldError } from './page-parts.ts'

/** Longer than any handle, DID or address. */
export const actorLengthMax = 500

/** The form that asks somebody who they are, before they go to their own server. */
export function loginForm(view: {
  action: string
  formToken: string
  /** What was typed. */
  actor: string
  returnPath: string
  error?: string | undefined
  /** What signing in means here. */
  note: Html | string
}): Html {
  const { action, actor, error, formToken, note, returnPath } = view
  return html`<form class="form panel" method="post" action="${action}">
    ${formTokenField(formToken)}
    <input type="hidden" name="next" value="${returnPath}" />
    <div class="field">
      <label for="actor">Handle</label>
      <input
        class="input"
        id="actor"
        name="actor"
        value="${actor}"
        autocomplete="username"
        autocapitalize="none"
        spellcheck="false"
        required
        maxlength="${actorLengthMax}"
        aria-describedby="actor-hint${error === undefined ? '' : ' actor-error'}"
        aria-invalid="${error === undefined ? 'false' : 'true'}"
      />
      ${fieldError('actor', error)}
      <p class="hint" id="actor-hint">
        Such as <code>alice.example.com</code>. A DID, or the https address of your server, will do too.
      </p>
    </div>
    <p><button class="button primary">Continue to your server</button></p>
    <p class="note">${note}</p>
  </form>`
}
