import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { age, describedBy, fieldError, notice } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount } from '../../../lib/format.ts'
import type { CrewPermission } from '../../../protocol/lexicon/crew-record.ts'
import type { Shell } from '../../web/layout.ts'
import type { PersonView } from '../views/people.ts'
import { frame, type Account } from './frame.ts'
import { checkbox, person } from './parts.ts'

/** What is kept for somebody, and how much may be. */
export interface UsageView {
  sizeBytes: number
  blobCount: number
  /** Undefined: as much as they like. */
  limitBytes: number | undefined
  tier: string | undefined
}

export interface MemberView extends PersonView {
  role: string
  permissions: readonly CrewPermission[]
  addedAt: Date
  isCaptain: boolean
  usage: UsageView
}

export interface CrewView {
  members: readonly MemberView[]
  /** Address of the next page. */
  nextPath: string | undefined
  notice: string | undefined
  now: Date
}

/** Who is crew, with what they may do and what they keep. */
export function crewPage(shell: Shell, account: Account, view: CrewView): Html {
  return frame(shell, account, {
    section: '/admin/crew',
    title: 'Crew',
    main: html`
      <div class="head">
        <h1>Crew</h1>
        <a class="button primary" href="/admin/crew/add">Add somebody</a>
      </div>
      ${view.notice !== undefined && notice('good', view.notice)}
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Member</th>
            <th scope="col">May</th>
            <th scope="col">Role</th>
            <th scope="col">Since</th>
            <th scope="col" class="number">Keeps</th>
            <th scope="col"><span class="visually-hidden">Change</span></th>
          </tr>
        </thead>
        <tbody>
          ${view.members.map((member) => memberRow(member, view.now))}
        </tbody>
      </table>
      ${view.nextPath !== undefined && html`<p><a class="button" href="${view.nextPath}">More crew</a></p>`}
    `,
  })
}

function memberRow(member: MemberView, now: Date): Html {
  const name = member.handle ?? member.did
  const path = memberPath(member.did)
  return html`<tr>
    <th scope="row">${person(member)}</th>
    <td data-label="May">${permissionChips(member)}</td>
    <td data-label="Role">${member.role}</td>
    <td data-label="Since">${age(member.addedAt, now)}</td>
    <td data-label="Keeps" class="number">${usage(member.usage, name)}</td>
    <td class="actions">
      ${
        !member.isCaptain &&
        html`<a class="button small" href="${path}">Edit<span class="visually-hidden"> ${name}</span></a>
          <a class="button small danger" href="${path}/remove"
            >Remove<span class="visually-hidden"> ${name}</span></a
          >`
      }
    </td>
  </tr>`
}

/** Bytes kept, of how many allowed. */
export function usage({ sizeBytes, limitBytes, tier }: UsageView, name: string): Html {
  if (limitBytes === undefined) return html`<span>${formatSize(sizeBytes)}</span>`
  const text = `${formatSize(sizeBytes)} of ${formatSize(limitBytes)}`
  return html`<span
    >${text}
    <meter
      min="0"
      max="${limitBytes}"
      low="${limitBytes * 0.8}"
      high="${limitBytes * 0.95}"
      optimum="0"
      value="${Math.min(sizeBytes, limitBytes)}"
      aria-label="${name} keeps ${text}"
    ></meter>
    ${tier !== undefined && html`<span class="note">${tier}</span>`}</span
  >`
}

function permissionChips({ isCaptain, permissions }: MemberView): Html {
  if (isCaptain) return html`<span class="chip warm">captain: everything</span>`
  if (permissions.length === 0) return html`<span class="chip bad">nothing</span>`
  return html`<span class="chips"
    >${permissions.map((it) => html`<span class="chip${it === 'crew:admin' ? ' warm' : ''}">${it}</span>`)}</span
  >`
}

export function memberPath(did: string): string {
  return `/admin/crew/${encodeURIComponent(did)}`
}

/** First step of adding somebody: who? */
export function addCrewPage(
  shell: Shell,
  account: Account,
  view: { actor: string; error: string | undefined },
): Html {
  const { actor, error } = view
  return frame(shell, account, {
    section: '/admin/crew',
    title: 'Add to the crew',
    main: html`
      <div>
        <h1>Add to the crew</h1>
        <p class="lead">
          Who is it? In the next step you see whom the name leads to, and say what they may do.
        </p>
      </div>
      <form class="form panel" method="get" action="/admin/crew/add">
        <div class="field">
          <label for="actor">Handle or DID</label>
          <input
            class="input"
            id="actor"
            name="actor"
            value="${actor}"
            autocomplete="off"
            autocapitalize="none"
            spellcheck="false"
            required
            maxlength="500"
            aria-describedby="${describedBy('actor', error)}"
            aria-invalid="${error === undefined ? 'false' : 'true'}"
          />
          ${fieldError('actor', error)}
          <p class="hint" id="actor-hint">Such as <code>bob.example.com</code> or <code>did:plc:…</code></p>
        </div>
        <p class="buttons">
          <button class="button primary">Look up</button>
          <a class="button" href="/admin/crew">Cancel</a>
        </p>
      </form>
    `,
  })
}

/** What a form about a member says, as typed. */
export interface MemberFields {
  role: string
  permissions: readonly string[]
  tier: string
}

export interface MemberFormView extends PersonView {
  /** In the order of their rank. */
  tiers: readonly { name: string; quotaBytes: number }[]
  fields: MemberFields
  errors: Partial<Record<keyof MemberFields, string>>
  /** Whether the member is there already. */
  isNew: boolean
  /** Somebody about to take away their own rights. */
  isSelf: boolean
  pdsUrl?: string | undefined
}

/** What a member may do: for somebody new, who was looked up just now, or somebody who is crew. */
export function memberFormPage(shell: Shell, account: Account, view: MemberFormView): Html {
  const { errors, fields, isNew } = view
  const title = isNew ? 'Add to the crew' : 'Edit crew member'
  return frame(shell, account, {
    section: '/admin/crew',
    title,
    main: html`
      <h1>${title}</h1>
      <form class="form panel" method="post" action="${isNew ? '/admin/crew' : memberPath(view.did)}">
        ${formTokenField(account.formToken)} <input type="hidden" name="did" value="${view.did}" />
        <div class="field">
          ${person(view)} ${view.pdsUrl !== undefined && html`<p class="note">Account at ${view.pdsUrl}</p>`}
        </div>
        ${view.isSelf && notice('warm', 'This is you. Without crew:admin you are out of this panel at once.')}
        <fieldset aria-describedby="permissions-error">
          <legend>May</legend>
          ${permissionBoxes.map((box) =>
            checkbox({ ...box, name: 'permission', isChecked: fields.permissions.includes(box.value) }),
          )}
          <div class="field">${fieldError('permissions', errors.permissions)}</div>
        </fieldset>
        <div class="field">
          <label for="role">Role</label>
          <input
            class="input"
            id="role"
            name="role"
            value="${fields.role}"
            required
            maxlength="32"
            aria-describedby="${describedBy('role', errors.role)}"
            aria-invalid="${errors.role === undefined ? 'false' : 'true'}"
          />
          ${fieldError('role', errors.role)}
          <p class="hint" id="role-hint">A word for people. It gives no rights. At most 32 characters.</p>
        </div>
        ${tierField(view)}
        <p class="buttons">
          <button class="button primary">${isNew ? 'Add' : 'Save'}</button>
          <a class="button" href="/admin/crew">Cancel</a>
        </p>
      </form>
    `,
  })
}

const permissionBoxes: readonly { value: CrewPermission; label: string; hint: string }[] = [
  { value: 'blob:read', label: 'Read', hint: 'Pull images. On a public hold everybody may.' },
  { value: 'blob:write', label: 'Write', hint: 'Push images. Includes reading.' },
  {
    value: 'crew:admin',
    label: 'Manage the hold',
    hint: 'Everything in this panel: crew, settings, storage. Includes reading and writing.',
  },
]

function tierField({ errors, fields, tiers }: MemberFormView): Html | '' {
  if (tiers.length === 0) return ''
  // A record may name a tier that the settings do not have (any more): it stays unless something else is chosen.
  const isUnknown = fields.tier !== '' && !tiers.some(({ name }) => name === fields.tier)
  return html`<div class="field">
    <label for="tier">Tier</label>
    <select
      class="input"
      id="tier"
      name="tier"
      aria-describedby="${describedBy('tier', errors.tier)}"
      aria-invalid="${errors.tier === undefined ? 'false' : 'true'}"
    >
      <option value="">Default</option>
      ${isUnknown && html`<option value="${fields.tier}" selected>${fields.tier} (not in the settings)</option>`}
      ${tiers.map(
        ({ name, quotaBytes }) =>
          html`<option value="${name}" ${name === fields.tier ? 'selected' : ''}>
            ${name}, ${formatSize(quotaBytes)}
          </option>`,
      )}
    </select>
    ${fieldError('tier', errors.tier)}
    <p class="hint" id="tier-hint">How much they may keep here.</p>
  </div>`
}

/** Before somebody is taken out. */
export function removeCrewPage(
  shell: Shell,
  account: Account,
  view: PersonView & { usage: UsageView; isPublic: boolean; isSelf: boolean; allowAllCrew: boolean },
): Html {
  const kept = view.usage
  return frame(shell, account, {
    section: '/admin/crew',
    title: 'Remove from the crew',
    main: html`
      <h1>Remove from the crew?</h1>
      <form class="form panel" method="post" action="${memberPath(view.did)}/remove">
        ${formTokenField(account.formToken)} ${person(view)}
        ${view.isSelf && notice('warm', 'This is you. You will be out of this panel at once.')}
        <ul class="stack">
          <li>They can no longer push here, from this moment; uploads under way end.</li>
          ${!view.isPublic && html`<li>They can no longer pull from this hold: it is for crew only.</li>`}
          ${view.allowAllCrew && html`<li>Anyone may join this hold, so they can come back by themselves.</li>`}
          <li>
            What they pushed stays: ${formatCount(kept.blobCount, 'blob')}, ${formatSize(kept.sizeBytes)}. It
            goes when they delete their images, or ask for their data to be deleted.
          </li>
        </ul>
        <p class="buttons">
          <button class="button danger">Remove</button>
          <a class="button" href="/admin/crew">Cancel</a>
        </p>
      </form>
    `,
  })
}
