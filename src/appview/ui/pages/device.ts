import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { age, describedBy, fact, fieldError, notice } from '../../../http/page-parts.ts'
import { layout, type Shell, type SignedInAccount } from './layout.ts'

/** A device that waits for a verdict, as it is shown to the one who gives it. */
export interface DeviceView {
  userCode: string
  deviceName: string
  /** Empty when it told none. */
  userAgent: string
  address: string
  /** Whether the browser comes from another address, as far as this can be seen. */
  isElsewhere: boolean
  createdAt: Date
  now: Date
  /** Whether the registry can act at the account's own server, as a push needs it. */
  canPush: boolean
  /** Why the verdict could not be taken. */
  error?: string
}

/** Asks for the code that a terminal shows. */
export function deviceCodePage(shell: Shell, view: { typed: string; error?: string }): Html {
  const { typed, error } = view
  return layout(shell, {
    title: 'Connect a device',
    main: html`
      <section class="device stack">
        <h1>Connect a device</h1>
        <p class="lead">Your terminal shows a code of eight letters. Type it here.</p>
        <form class="form panel" method="get" action="/device">
          <div class="field">
            <label for="code">Code</label>
            <input
              class="input user-code"
              id="code"
              name="code"
              value="${typed}"
              autocomplete="off"
              autocapitalize="characters"
              spellcheck="false"
              required
              maxlength="40"
              aria-describedby="${describedBy('code', error)}"
              aria-invalid="${error === undefined ? 'false' : 'true'}"
            />
            ${fieldError('code', error)}
            <p class="hint" id="code-hint">Such as <code>BCDF-GHJK</code>. Small letters will do.</p>
          </div>
          <p><button class="button primary">Continue</button></p>
        </form>
        ${warning}
      </section>
    `,
  })
}

/** Asks whether a device may act for the account that is signed in. */
export function deviceApprovalPage(shell: Shell, account: SignedInAccount, view: DeviceView): Html {
  const name = account.handle ?? account.did
  const backPath = `/device?${new URLSearchParams({ code: view.userCode }).toString()}`
  const loginPath = `/auth/oauth/login?${new URLSearchParams({ next: backPath }).toString()}`
  return layout(shell, {
    title: 'Connect this device?',
    main: html`
      <section class="device stack">
        <h1>Connect this device?</h1>
        <p class="lead">It will push and pull images as <strong>${name}</strong>, until you revoke it.</p>
        <form class="form panel" method="post" action="/device/approve">
          ${formTokenField(account.formToken)}
          <input type="hidden" name="code" value="${view.userCode}" />
          ${view.error !== undefined && notice('bad', view.error)}
          ${
            !view.canPush &&
            notice(
              'warm',
              html`Your session with your own server has ended. <a href="${loginPath}">Sign in again</a>, or
                the device can pull and not push.`,
            )
          }
          <div class="shown-code">
            <p class="note">Your terminal must show the same code:</p>
            <p class="user-code">${view.userCode}</p>
          </div>
          <dl class="fact-list">
            ${fact('Device', html`<strong class="device-name" dir="auto">${view.deviceName}</strong>`)}
            ${fact('Program', view.userAgent === '' ? 'does not tell its name' : html`<span dir="auto">${view.userAgent}</span>`)}
            ${fact('Address', html`${view.address}${view.isElsewhere && html` (not the address of this browser)`}`)}
            ${fact('Asked', age(view.createdAt, view.now))}
          </dl>
          ${warning}
          <p class="buttons">
            <button class="button primary" name="verdict" value="approve">Approve</button>
            <button class="button" name="verdict" value="deny">Deny</button>
          </p>
        </form>
        <p class="note">
          Not ${name}?
          <a href="${loginPath}">Sign in as another account</a>
        </p>
      </section>
    `,
  })
}

const warning = notice(
  'warm',
  html`Go on only if <strong>you</strong> began this, just now, on a machine of yours. Somebody who sends you
    a code or a link to this page wants to act in your name.`,
)

/** What became of a pairing that waits for nobody any more. */
export type DeviceOutcome = 'connected' | 'denied' | 'expired' | 'used'

/** Says what became of a device. `account` is the one that is signed in. */
export function deviceOutcomePage(
  shell: Shell,
  view: { outcome: DeviceOutcome; deviceName: string; account: string },
): Html {
  const { title, text, isGood } = outcomes[view.outcome](view)
  return layout(shell, {
    title,
    main: html`
      <section class="device stack">
        <h1>${title}</h1>
        ${isGood ? notice('good', text) : html`<p class="lead">${text}</p>`}
        <p class="buttons">
          <a class="button" href="/settings/devices">Your devices</a>
          ${!isGood && html`<a class="button" href="/device">Type another code</a>`}
        </p>
      </section>
    `,
  })
}

interface OutcomeText {
  title: string
  text: Html | string
  isGood?: boolean
}

const outcomes: Record<DeviceOutcome, (view: { deviceName: string; account: string }) => OutcomeText> = {
  connected: ({ deviceName, account }) => ({
    title: 'The device is connected',
    text: html`Return to your terminal: it goes on within seconds.
      <strong dir="auto">${deviceName}</strong> now acts as <strong>${account}</strong>. You can close this
      page.`,
    isGood: true,
  }),
  denied: () => ({
    title: 'The device was denied',
    text: 'It was told so, and has got nothing. If somebody sent you the code: you did well.',
  }),
  expired: () => ({
    title: 'The code has expired',
    text: 'A code is good for ten minutes. Begin the login again in your terminal, and use the code it shows then.',
  }),
  used: () => ({
    title: 'The code was used already',
    text: 'Somebody else has approved it, so it is good for nothing now. If it was to be yours, begin the login again in your terminal.',
  }),
}
