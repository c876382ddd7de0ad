import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { fieldError } from '../../../../http/page-parts.ts'
import { settingsPage, type SettingsShell } from './frame.ts'

export interface DeviceNameView {
  id: string
  /** As it is called now. */
  name: string
  nameLengthMax: number
  /** Why the name that was sent is not taken. */
  error?: string
}

/** One device, to be called something else. */
export function deviceNamePage(
  shell: SettingsShell,
  { error, id, name, nameLengthMax }: DeviceNameView,
): Html {
  return settingsPage(shell, {
    place: '/settings/devices',
    title: 'Rename a device',
    lead: html`<bdi>${name}</bdi> is what it told of itself, or what you called it.`,
    done: undefined,
    main: html`<section>
      <form class="form panel" method="post" action="/settings/devices/rename">
        ${formTokenField(shell.account.formToken)}
        <input type="hidden" name="id" value="${id}" />
        <div class="field">
          <label for="name">New name</label>
          <input
            class="input"
            id="name"
            name="name"
            value="${name}"
            required
            maxlength="${nameLengthMax}"
            autocomplete="off"
            spellcheck="false"
            aria-invalid="${error === undefined ? 'false' : 'true'}"
            ${error !== undefined && html`aria-describedby="name-error"`}
          />
          ${fieldError('name', error)}
        </div>
        <p class="buttons">
          <button class="button primary">Save</button>
          <a class="button" href="/settings/devices">Cancel</a>
        </p>
      </form>
    </section>`,
  })
}
