import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { describedBy, fieldError, notice } from '../../../http/page-parts.ts'
import { layout, type Shell, type SignedInAccount } from './layout.ts'
import { avatar } from './parts.ts'

/** The form that describes a repository, as it was filled in so far. */
export interface RepositoryEditView {
  /** Path and name of the repository. */
  path: string
  name: string
  description: string
  /** What the form was made from. */
  version: string
  picturePath: string | undefined
  /** The description as it will look. */
  preview?: Html
  /** What somebody else wrote meanwhile. */
  theirs?: string
  /** Nothing was written, and why. */
  problem?: Html | string
  errors?: { description?: string; picture?: string }
}

/** Where an owner describes a repository and gives it a picture. */
export function repositoryEditPage(
  shell: Shell & { account: SignedInAccount },
  view: RepositoryEditView,
): Html {
  const { errors = {}, name, path, preview, problem, theirs } = view
  return layout(shell, {
    title: `Edit ${name}`,
    isUnlisted: true,
    main: html`
      <header class="page-header">
        <h1>Edit ${name}</h1>
        <p class="lead">What you write here is a record in your own data repo, for everyone to read.</p>
      </header>
      ${problem !== undefined && notice('bad', problem)}
      ${
        theirs !== undefined &&
        html`<section class="panel stack fill" aria-labelledby="theirs">
          <h2 id="theirs">What stands there now</h2>
          <pre class="plain-text" tabindex="0">${theirs === '' ? '(nothing)' : theirs}</pre>
        </section>`
      }
      <section aria-label="Edit">
        <form class="form wide" method="post" action="/pages/put" enctype="multipart/form-data">
          ${formTokenField(shell.account.formToken)}
          <input type="hidden" name="repository" value="${name}" />
          <input type="hidden" name="version" value="${view.version}" />
          ${descriptionField(view.description, errors.description)} ${pictureField(view, errors.picture)}
          <p class="buttons">
            <button class="button primary" name="action" value="save">Save</button>
            <button class="button" name="action" value="preview" formaction="/pages/put#preview">
              Preview
            </button>
            <a class="button" href="${path}">Cancel</a>
          </p>
        </form>
      </section>
      ${
        preview !== undefined &&
        html`<section class="panel" aria-labelledby="preview">
          <h2 id="preview">Preview</h2>
          <article class="markdown">${preview}</article>
        </section>`
      }
    `,
  })
}

function descriptionField(text: string, error: string | undefined): Html {
  // The line after the tag is dropped by browsers, and one of the text is not.
  return html`<div class="field">
    <label for="description">Description</label>
    <textarea
      class="input prose"
      id="description"
      name="description"
      rows="18"
      dir="auto"
      aria-describedby="${describedBy('description', error)}"
      aria-invalid="${error === undefined ? 'false' : 'true'}"
    >
${text}</textarea>
    ${fieldError('description', error)}
    <p class="hint" id="description-hint">
      Markdown, as on GitHub: headings, lists, tables, code. It is the README of this repository.
    </p>
  </div>`
}

function pictureField({ name, picturePath }: RepositoryEditView, error: string | undefined): Html {
  return html`<div class="field">
    <label for="picture">Picture</label>
    <div class="picture-field">
      ${avatar({ label: name, picturePath }, 'large')}
      <div class="field">
        <input
          class="input"
          type="file"
          id="picture"
          name="picture"
          accept="image/png,image/jpeg,image/webp"
          aria-describedby="${describedBy('picture', error)}"
          aria-invalid="${error === undefined ? 'false' : 'true'}"
        />
        ${fieldError('picture', error)}
        <p class="hint" id="picture-hint">PNG, JPEG or WebP, at most 3 MB. Square ones look best.</p>
      </div>
    </div>
    ${
      picturePath !== undefined &&
      html`<label class="check" for="remove">
        <input type="checkbox" id="remove" name="remove" value="1" />
        <span>Remove the picture</span>
      </label>`
    }
  </div>`
}
