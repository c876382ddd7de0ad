import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount, shortDigest } from '../../../lib/format.ts'
import type { DeletionView, ManifestToDelete, TagToDelete } from '../views/reference-deletion.ts'
import { manifestPath } from '../views/manifest-page.ts'
import { layout, type Shell, type SignedInAccount } from './layout.ts'
import { digestLink } from './manifest-parts.ts'

/** Asks whether tags, or a manifest, shall really go, and says what else that means. */
export function deletionPage(shell: Shell & { account: SignedInAccount }, view: DeletionView): Html {
  const { manifest, name, path, tags } = view
  const title = manifest === undefined ? `Delete ${formatCount(tags.length, 'tag')}?` : 'Delete this manifest?' // prettier-ignore
  return layout(shell, {
    title,
    isUnlisted: true,
    main: html`
      <header class="page-header">
        <h1>${title}</h1>
        <p class="lead">In <a href="${path}">${name}</a>. Only pushing it again brings it back.</p>
      </header>
      <section class="stack fill narrow" aria-label="What it means">
        ${manifest === undefined ? tagEffects(path, tags) : manifestEffects(path, manifest)}
        <form class="buttons" method="post" action="/references/delete">
          ${formTokenField(shell.account.formToken)}
          <input type="hidden" name="repository" value="${name}" />
          ${tags.map(({ tag }) => html`<input type="hidden" name="tag" value="${tag}" />`)}
          ${manifest !== undefined && html`<input type="hidden" name="digest" value="${manifest.manifest.digest}" />`}
          <button class="button danger">Delete</button>
          <a class="button" href="${path}">Keep</a>
        </form>
      </section>
    `,
  })
}

function tagEffects(path: string, tags: readonly TagToDelete[]): Html {
  const left = new Set(tags.filter(({ otherTagCount }) => otherTagCount === 0).map(({ digest }) => digest))
  return html`<ul class="entries">
      ${tags.map(
        ({ digest, otherTagCount, tag }) =>
          html`<li>
            <h2 class="tag">${tag}</h2>
            <p class="facts">
              <span>names ${digestLink(digest, manifestPath(path, digest))}</span>
              <span
                >${otherTagCount === 0 ? 'no other tag does' : `${formatCount(otherTagCount, 'other tag')} too`}</span
              >
            </p>
          </li>`,
      )}
    </ul>
    <ul class="effects">
      <li>Whoever pulls by ${tags.length === 1 ? 'this name' : 'these names'} gets an error.</li>
      ${
        left.size > 0 &&
        html`<li>
          ${formatCount(left.size, 'manifest')} will be left without a tag: still there, still pulled by
          digest, still counted against your quota. You can delete ${left.size === 1 ? 'it' : 'them'}
          afterwards.
        </li>`
      }
    </ul>`
}

function manifestEffects(path: string, effects: ManifestToDelete): Html {
  const { childCount, freedBytes, indexes, manifest, otherRepositories, referrers, sharedBytes, tags } =
    effects
  const link = (digest: Parameters<typeof manifestPath>[1]) => digestLink(digest, manifestPath(path, digest))
  return html`<p class="facts">
      <code title="${manifest.digest}">${shortDigest(manifest.digest)}</code>
      ${manifest.kindLabel && html`<span class="chip warm">${manifest.kindLabel}</span>`}
      ${manifest.platforms.map((platform) => html`<span class="chip">${platform}</span>`)}
    </p>
    <ul class="effects">
      <li>Pulls by this digest stop, here and wherever it is written into a deployment.</li>
      ${
        tags.length > 0 &&
        html`<li>
          ${formatCount(tags.length, 'tag')} will go with it:
          ${list(tags.map((tag) => html`<span class="tag">${tag}</span>`))}
        </li>`
      }
      ${
        indexes.length > 0 &&
        html`<li>
          ${indexes.length === 1 ? 'An index goes' : `${indexes.length} indexes go`} on listing it, and
          ${indexes.length === 1 ? 'fails' : 'fail'} for its platform:
          ${list(indexes.map((digest) => link(digest)))}
        </li>`
      }
      ${
        childCount > 0 &&
        html`<li>
          The ${formatCount(childCount, 'manifest')} that it lists will stay, to be pulled by digest.
        </li>`
      }
      ${
        referrers.length > 0 &&
        html`<li>
          ${formatCount(referrers.length, 'attachment')} will be left without what
          ${referrers.length === 1 ? 'it is' : 'they are'} about:
          ${list(referrers.map((referrer) => html`${referrer.kindLabel ?? 'Artifact'} ${link(referrer.digest)}`))}
        </li>`
      }
      ${
        otherRepositories.length > 0 &&
        html`<li>
          ${otherRepositories.length === 1 ? 'Another repository of yours keeps it' : 'Other repositories of yours keep it'}:
          ${otherRepositories.join(', ')}.
        </li>`
      }
      <li>${bytesText(freedBytes, sharedBytes)}</li>
    </ul>`
}

function bytesText(freedBytes: number, sharedBytes: number): string {
  const shared = sharedBytes > 0 ? `${formatSize(sharedBytes)} of layers stay: other manifests of yours need them.` : '' // prettier-ignore
  if (freedBytes === 0) return shared === '' ? 'No layers are freed by it.' : shared
  return `${formatSize(freedBytes)} of layers are needed by nothing else; the hold removes them in time. ${shared}`.trim()
}

function list(items: readonly Html[]): Html {
  return html`${items.map((item, index) => html`${index > 0 && ', '}${item}`)}`
}
