import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { describedBy, fieldError, notice } from '../../../../http/page-parts.ts'
import { settingsPage, type SettingsShell } from './frame.ts'

/** What was filled in, when the form is shown again. */
export interface DeletionForm {
  handle: string
  wantsRecords: boolean
  wantsIndex: boolean
  /** Why the handle is not taken. */
  error?: string | undefined
}

const emptyForm: DeletionForm = { handle: '', wantsRecords: false, wantsIndex: false }

/** Everything that is kept about somebody: to be taken along, or deleted. */
export function dataPage(
  shell: SettingsShell,
  { form = emptyForm, underWay }: { underWay: { path: string } | undefined; form?: DeletionForm },
): Html {
  const { formToken, handle, did } = shell.account
  return settingsPage(shell, {
    place: '/settings/data',
    title: 'Your data',
    lead: html`What is kept about you, here and in the holds. <a href="/privacy">Privacy</a> says what that
      is.`,
    done: undefined,
    main: html`
      ${
        underWay !== undefined &&
        html`<section>
          ${notice('warm', html`Your data is being deleted. <a href="${underWay.path}">See how far it is</a>`)}
        </section>`
      }
      <section class="panel stack" aria-labelledby="export">
        <h2 id="export">Export</h2>
        <p>
          One JSON file with every row that this registry keeps about you, and with what each of your holds
          tells about you. Secrets, such as tokens and hashes of passwords, are left out. Your records
          themselves are in your data repo; the file says where. A hold that does not answer is named with the
          reason.
        </p>
        <form method="post" action="/settings/data/export">
          ${formTokenField(formToken)}
          <button class="button">Export my data</button>
        </form>
      </section>
      <section class="panel stack" aria-labelledby="delete">
        <h2 id="delete">Delete</h2>
        <p>This goes at once, and cannot be undone:</p>
        <ul class="bullets">
          <li>
            sign-ins, in this browser too, devices, and the access this registry has to your data server;
          </li>
          <li>webhooks, uploads under way and pull counters;</li>
          <li>
            at the holds: your place in their crews, and which layers are yours. They collect layers that
            nobody else needs, so <strong>your images can soon not be pulled any more</strong>.
          </li>
        </ul>
        <form class="stack" method="post" action="/settings/data/delete">
          ${formTokenField(formToken)}
          <label class="check">
            ${checkbox('records', form.wantsRecords)}
            <span>
              Delete my records, too: all manifests, tags, stars, pages and the profile that registries like
              this wrote into your data repo. Other registries lose them as well.
            </span>
          </label>
          <label class="check">
            ${checkbox('index', form.wantsIndex)}
            <span>
              Forget what the index has of them. Records that stay in your data repo are public, and come back
              here when they change or somebody asks for them.
            </span>
          </label>
          <div class="field">
            <label for="handle">Your handle, to be sure</label>
            <p class="hint" id="handle-hint">Type <code>${handle ?? did}</code></p>
            <input
              class="input"
              id="handle"
              name="handle"
              value="${form.handle}"
              required
              autocomplete="off"
              autocapitalize="none"
              spellcheck="false"
              aria-describedby="${describedBy('handle', form.error)}"
              ${form.error !== undefined && html`aria-invalid="true"`}
            />
            ${fieldError('handle', form.error)}
          </div>
          <p><button class="button danger">Delete my data</button></p>
        </form>
        <p class="note">
          Your account is with your data server, and stays. Signing in here again begins anew.
        </p>
      </section>
    `,
  })
}

const checkbox = (name: string, isChecked: boolean): Html =>
  isChecked
    ? html`<input type="checkbox" name="${name}" value="yes" checked />`
    : html`<input type="checkbox" name="${name}" value="yes" />`
