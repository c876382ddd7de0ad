import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { describedBy, fieldError, notice } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import type { Shell } from '../../web/layout.ts'
import { frame, type Account } from './frame.ts'
import { checkbox } from './parts.ts'

/** The captain record as a form has it. */
export interface SettingsFields {
  isPublic: boolean
  allowAllCrew: boolean
  enableBlueskyPosts: boolean
  region: string
  successorDid: string
}

export interface SettingsView {
  fields: SettingsFields
  errors: Partial<Record<'region' | 'successorDid', string>>
  tiers: readonly { name: string; quotaBytes: number; isScannedOnPush: boolean }[]
  notice: string | undefined
}

/** How the hold is run. */
export function settingsPage(shell: Shell, account: Account, view: SettingsView): Html {
  const { errors, fields } = view
  return frame(shell, account, {
    section: '/admin/settings',
    title: 'Settings',
    main: html`
      <h1>Settings</h1>
      ${view.notice !== undefined && notice('good', view.notice)}
      <form class="form panel" method="post" action="/admin/settings">
        ${formTokenField(account.formToken)}
        <fieldset>
          <legend>Who may use this hold</legend>
          ${checkbox({ name: 'public', label: 'Public', hint: 'Anyone may pull what is here. Otherwise only crew may.', isChecked: fields.isPublic })}
          ${checkbox({ name: 'allow-all-crew', label: 'Open crew', hint: 'Anyone who asks becomes crew, and may push.', isChecked: fields.allowAllCrew })}
          ${checkbox({ name: 'posts', label: 'Bluesky posts', hint: 'The hold may post about what is pushed here, for everybody to read.', isChecked: fields.enableBlueskyPosts })}
        </fieldset>
        ${textField({ name: 'region', label: 'Region', value: fields.region, error: errors.region, maxLength: 64, hint: 'Where the hold is, as shown to people. May be empty.' })}
        ${textField({
          name: 'successor',
          label: 'Successor',
          value: fields.successorDid,
          error: errors.successorDid,
          maxLength: 2048,
          hint: 'DID of the hold that takes over from this one: pushes and pulls go there. Empty while this one stays.',
        })}
        <p><button class="button primary">Save</button></p>
        <p class="note">These stand in the captain record, which everybody can read.</p>
      </form>
      ${tiersSection(view.tiers)}
    `,
  })
}

function textField(field: {
  name: string
  label: string
  value: string
  error: string | undefined
  maxLength: number
  hint: string
}): Html {
  const { error, name } = field
  return html`<div class="field">
    <label for="${name}">${field.label}</label>
    <input
      class="input"
      id="${name}"
      name="${name}"
      value="${field.value}"
      maxlength="${field.maxLength}"
      autocomplete="off"
      spellcheck="false"
      aria-describedby="${describedBy(name, error)}"
      aria-invalid="${error === undefined ? 'false' : 'true'}"
    />
    ${fieldError(name, error)}
    <p class="hint" id="${name}-hint">${field.hint}</p>
  </div>`
}

function tiersSection(tiers: SettingsView['tiers']): Html {
  return html`<section aria-labelledby="tiers">
    <h2 id="tiers">Tiers</h2>
    ${
      tiers.length === 0
        ? html`<p class="empty">
            There are no tiers, so crew may keep as much as the storage takes. Tiers are set in the
            configuration file, under <code>quota.tiers</code>.
          </p>`
        : html`<table class="table">
              <thead>
                <tr>
                  <th scope="col">Tier</th>
                  <th scope="col" class="number">May keep</th>
                  <th scope="col">Images are scanned</th>
                </tr>
              </thead>
              <tbody>
                ${tiers.map(
                  (tier) =>
                    html`<tr>
                      <th scope="row">${tier.name}</th>
                      <td data-label="May keep" class="number">${formatSize(tier.quotaBytes)}</td>
                      <td data-label="Scanned">${tier.isScannedOnPush ? 'on push' : 'no'}</td>
                    </tr>`,
                )}
              </tbody>
            </table>
            <p class="note">From the configuration file, <code>quota.tiers</code>, lowest first.</p>`
    }
  </section>`
}
