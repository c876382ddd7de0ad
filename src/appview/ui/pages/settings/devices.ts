import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { age } from '../../../../http/page-parts.ts'
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
  now: Date
  done: string | undefined
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
            : html`<form method="post" action="/settings/devices/revoke">
                ${formTokenField(shell.account.formToken)}
                <ul class="entries">
                  ${devices.map((device) => deviceItem(device, view.now))}
                </ul>
              </form>`
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

function deviceItem(device: DeviceView, now: Date): Html {
  const { id, name } = device
  return html`<li class="entry">
    <h2 dir="auto">${name}</h2>
    <p class="facts">${facts(device, now)}</p>
    <div class="buttons">
      <a class="button small" href="/settings/devices/${id}" aria-label="Rename ${name}">Rename</a>
      <button class="button small danger" name="id" value="${id}" aria-label="Revoke ${name}">Revoke</button>
    </div>
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
