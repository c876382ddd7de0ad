import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { formatSize } from '../../../../lib/format-size.ts'
import type { HoldChoice, HoldGroup, QuotaView, StorageView } from '../../views/storage.ts'
import { healthDot } from '../health.ts'
import { breakable } from '../parts.ts'
import { lostAccess, settingsPage, type SettingsShell } from './frame.ts'

const path = '/settings/storage'

const groups: readonly { group: HoldGroup; title: string; meaning: string }[] = [
  {
    group: 'own',
    title: 'Your own',
    meaning: 'You are the captain: no quota, and you say who may read and write.',
  },
  {
    group: 'crew',
    title: 'Crew of',
    meaning: 'Their captains took you in; what you keep counts against your quota there.',
  },
  {
    group: 'open',
    title: 'Open to all',
    meaning: 'They take in everyone who asks. Choosing one makes you crew, for all to see.',
  },
  {
    group: 'public',
    title: 'By invitation',
    meaning: 'Anyone may pull from them; to push, ask the captain first.',
  },
]

/** Where pushes go, what is kept where, and what becomes of what no tag names. */
export function storagePage(
  shell: SettingsShell,
  view: StorageView & { hasAccess: boolean; done: string | undefined },
): Html {
  return settingsPage(shell, {
    place: path,
    title: 'Storage',
    lead: 'Your images’ layers rest in a hold. Choose which one new pushes go to; what was pushed stays where it is.',
    done: view.done,
    main: html`
      ${!view.hasAccess && lostAccess(path)} ${view.hasOptedOut && optedOut}
      <section aria-labelledby="hold">
        <h2 id="hold">Hold for new pushes</h2>
        <form class="panel form wide" method="post" action="${path}/hold">
          ${formTokenField(shell.account.formToken)} ${groups.map((group) => choiceGroup(view, group))}
          ${otherGroup(view)}
          <p><button class="button primary">Save</button></p>
        </form>
      </section>
      ${untagged(shell, view)}
    `,
  })
}

const optedOut = html`<section>
  <p class="notice warm" role="status">You have chosen no hold: pushes are refused until you do.</p>
</section>`

function choiceGroup(
  { choices }: StorageView,
  { group, meaning, title }: (typeof groups)[number],
): Html | '' {
  const ofGroup = choices.filter((choice) => choice.group === group)
  if (ofGroup.length === 0) return ''
  return html`<fieldset aria-describedby="${group}-meaning">
    <legend>${title}</legend>
    <p class="hint" id="${group}-meaning">${meaning}</p>
    ${ofGroup.map((choice, index) => choiceItem(choice, `${group}-${index}`))}
  </fieldset>`
}

/** The label is the hold's name alone; what is known of it describes it. */
function choiceItem(choice: HoldChoice, id: string): Html {
  const { group, hold, isChosen, isDefault, permissions } = choice
  const mayWrite = group === 'own' || group === 'open' || permissions.includes('blob:write')
  return html`<div class="check">
    <input
      type="radio"
      name="hold"
      id="${id}"
      value="${hold.did}"
      aria-describedby="${id}-facts"
      ${isChosen && 'checked'}
      ${!mayWrite && 'disabled'}
    />
    <label for="${id}">${breakable(hold.host)}</label>
    <div class="facts check-facts" id="${id}-facts">
      ${isDefault && html`<span class="chip">default of this registry</span>`} ${healthDot(choice.health)}
      ${hold.captain !== undefined && html`<span>${hold.captain.isPublic ? 'public' : 'for crew only'}</span>`}
      ${hold.region !== undefined && html`<span dir="auto">${hold.region}</span>`}
      ${group === 'crew' && !mayWrite && html`<span>you may only read there</span>`}
      ${choice.wasAsked && quota(choice.quota)}
      <a href="${hold.path}" aria-label="About ${hold.host}">About</a>
    </div>
  </div>`
}

function quota(told: QuotaView | undefined): Html {
  if (told === undefined) return html`<span>did not say what you keep there</span>`
  const { limitBytes, tier, usedBytes } = told
  const used = formatSize(usedBytes)
  if (limitBytes === undefined) return html`<span>you keep ${used}</span>`
  const ofTier = tier === undefined ? '' : ` (${tier})`
  const isNearlyFull = usedBytes >= limitBytes * 0.9
  return html`<span class="quota"
    ><meter
      min="0"
      max="${limitBytes}"
      value="${Math.min(usedBytes, limitBytes)}"
      aria-label="Quota used"
    ></meter>
    you keep ${used} of
    ${formatSize(limitBytes)}${ofTier}${isNearlyFull && html`, <strong>nearly full</strong>`}</span
  >`
}

function otherGroup({ hasOptedOut }: StorageView): Html {
  return html`<fieldset>
    <legend>Something else</legend>
    <div class="check">
      <input type="radio" name="hold" id="other" value="other" />
      <label for="other">Another hold</label>
      <div class="check-facts field">
        <label class="visually-hidden" for="other-did">DID of the other hold</label>
        <input
          class="input"
          id="other-did"
          name="other"
          placeholder="did:web:hold.example"
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
          maxlength="300"
        />
      </div>
    </div>
    <div class="check">
      <input
        type="radio"
        name="hold"
        id="none"
        value="none"
        aria-describedby="none-hint"
        ${hasOptedOut && 'checked'}
      />
      <label for="none">None</label>
      <p class="hint" id="none-hint">
        Opts out of the registry’s default. Pushes are refused until you choose.
      </p>
    </div>
  </fieldset>`
}

function untagged(shell: SettingsShell, { autoRemovesUntagged }: StorageView): Html {
  return html`<section aria-labelledby="untagged">
    <h2 id="untagged">Manifests that lose their tag</h2>
    <form class="panel form" method="post" action="${path}/untagged">
      ${formTokenField(shell.account.formToken)}
      <div class="check">
        <input
          type="checkbox"
          name="remove"
          id="remove"
          value="yes"
          aria-describedby="remove-hint"
          ${autoRemovesUntagged && 'checked'}
        />
        <label for="remove">Remove them an hour later</label>
        <p class="hint" id="remove-hint">
          When a tag moves on or is deleted, the image it left goes, with its signatures, unless another tag
          or an index of yours still needs it. Who pulls by digest finds it no more, and its space is free
          again.
        </p>
      </div>
      <p><button class="button">Save</button></p>
    </form>
  </section>`
}
