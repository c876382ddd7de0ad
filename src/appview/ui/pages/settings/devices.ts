import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { age, fieldError } from '../../../../http/page-parts.ts'
import { formatCount } from '../../../../lib/format.ts'
import { command } from '../parts.ts'
import { settingsPage, type SettingsShell } from './frame.ts'

export interface DeviceView {
  id: string
  name: string
  createdAt: Date
  usedAt?: Date
  address?: string
}

export interface DevicesView {
  devices: readonly DeviceView[]
  nameLengthMax: number
  now: Date
  done: string | undefined
  /** A name that was not taken, and why. */
  refused?: { id: string; error: string }
  loginCommand: string
}

/** The machines that are paired with an account. */
export function devicesPage(shell: SettingsShell, view: DevicesView): Html {
  const { devices } = view
  return settingsPage(shell, {
    place: '/settings/devices',
    title: 'Devices',
    lead: 'Machines that were paired with your account by the credential helper. Each has a secret of its own, good for pushing and pulling and nothing else.',
    done: view.done,
    main: html`
      <section aria-label="Paired devices">
        ${
          devices.length === 0
            ? html`<div class="empty">
                <p>No device is paired.</p>
                <p><a href="/install">Install the credential helper</a>, then pair a machine with it.</p>
              </div>`
            : html`<ul class="entries">
                ${devices.map((device) => deviceItem(device, view, shell.account.formToken))}
              </ul>`
        }
      </section>
      ${devices.length > 1 && revokeAll(devices.length, shell.account.formToken)}
      <section aria-labelledby="pair">
        <h2 id="pair">Pair another one</h2>
        <p>On that machine, with the <a href="/install">credential helper</a> installed:</p>
        ${command(view.loginCommand, 'Copy the command that pairs a device')}
      </section>
    `,
  })
}

function deviceItem(device: DeviceView, view: DevicesView, formToken: string): Html {
  const { id, name } = device
  const error = view.refused?.id === id ? view.refused.error : undefined
  return html`<li>
    <div class="entry-head">
      <h2 dir="auto">${name}</h2>
      <form method="post" action="/settings/devices/${id}/revoke">
        ${formTokenField(formToken)}
        <button class="button small danger" aria-label="Revoke ${name}">Revoke</button>
      </form>
    </div>
    <p class="facts">${facts(device, view.now)}</p>
    <details class="more" ${error === undefined ? '' : 'open'}>
      <summary>Rename<span class="visually-hidden"> ${name}</span></summary>
      <form class="inline-form" method="post" action="/settings/devices/${id}/rename">
        ${formTokenField(formToken)}
        <div class="field">
          <label for="name-${id}">New name</label>
          <input
            class="input"
            id="name-${id}"
            name="name"
            value="${name}"
            required
            maxlength="${view.nameLengthMax}"
            autocomplete="off"
            spellcheck="false"
            aria-invalid="${error === undefined ? 'false' : 'true'}"
            ${error === undefined ? '' : html`aria-describedby="name-${id}-error"`}
          />
          ${fieldError(`name-${id}`, error)}
        </div>
        <button class="button">Save</button>
      </form>
    </details>
  </li>`
}

/** The address is where it was used last, or while it was not, where it was paired from. */
function facts({ address, createdAt, usedAt }: DeviceView, now: Date): Html {
  const from = address === undefined ? '' : ` from ${address}`
  const paired = age(createdAt, now)
  return usedAt === undefined
    ? html`<span>Never used</span> <span>Paired ${paired}${from}</span>`
    : html`<span>Last used ${age(usedAt, now)}${from}</span> <span>Paired ${paired}</span>`
}

function revokeAll(count: number, formToken: string): Html {
  return html`<section aria-label="All devices">
    <details class="more">
      <summary>Revoke all of them</summary>
      <form class="stack" method="post" action="/settings/devices/revoke-all">
        ${formTokenField(formToken)}
        <p>
          ${formatCount(count, 'device')} will have to be paired again before they can push, or pull what is
          not public.
        </p>
        <button class="button danger">Revoke all devices</button>
      </form>
    </details>
  </section>`
}
