import { html, type Html } from '../../../http/html.ts'
import { age, fact } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatTime, shortDigest } from '../../../lib/format.ts'
import { manifestPath, tagPath, type ManifestPageView } from '../views/manifest-page.ts'
import { healthDot } from './health.ts'
import { layout, type Shell } from './layout.ts'
import { artifactContent } from './manifest-artifact.ts'
import { imageContent } from './manifest-image.ts'
import {
  digestLink,
  manifestTabs,
  more,
  namedTexts,
  optionalFact,
  outsideLink,
  repositoryHeading,
  scanChips,
  size,
} from './manifest-parts.ts'
import { breakable, command, copyButton, platforms } from './parts.ts'
import { platformTable } from './manifest-platforms.ts'
import { pullPanel } from './pull-guides.ts'

/** A manifest, or what a tag names. */
export function manifestPage(shell: Shell, view: ManifestPageView): Html {
  const { manifest, name, owner, tag } = view
  const title = tag === undefined ? shortDigest(view.digest) : tag.name
  return layout(shell, {
    title: `${title} · ${owner.label}/${name}`,
    description:
      manifest.description ?? `${view.what} ${owner.label}/${name}, ${formatSize(manifest.sizeBytes)}`,
    // A digest is one of many; its repository and its tags are what people look for.
    isUnlisted: tag === undefined,
    ...(tag !== undefined && { card: `${view.repositoryPath}/-/card.png` }),
    main: html`
      <header class="page-header">
        ${repositoryHeading(view, heading(view))}
        ${manifest.description && html`<p class="lead" dir="auto">${manifest.description}</p>`} ${facts(view)}
      </header>
      ${manifestTabs({ ...view, tag: tag?.name }, 'overview')} ${pullPanel(view.guides)} ${content(view)}
      ${about(view)} ${scan(view)} ${referrers(view)} ${details(view)}
    `,
  })
}

function heading({ digest: text, tag }: ManifestPageView): Html {
  return tag === undefined
    ? html`<code>${shortDigest(text)}</code> ${copyButton(text, `Copy digest ${shortDigest(text)}`)}`
    : html`<span class="tag">${tag.name}</span>`
}

function facts(view: ManifestPageView): Html {
  const { content, manifest, now, tag } = view
  const own = content.kind === 'image' ? content.config?.platform : undefined
  const names = own === undefined ? manifest.platforms : [own]
  return html`<ul class="facts">
    <li>
      <span class="chip warm">${view.what}</span>
      ${view.isPrivate && html`<span class="chip warm">Private</span>`}
    </li>
    ${names.length > 0 && html`<li>${platforms({ ...manifest, kindLabel: undefined, platforms: names })}</li>`}
    <li>${size(manifest.sizeBytes)}</li>
    ${
      tag === undefined
        ? html`<li>pushed ${age(manifest.createdAt, now)}</li>`
        : html`<li>moved ${age(tag.movedAt, now)}</li>
            <li class="digest">
              ${digestLink(view.digest, manifestPath(view.repositoryPath, view.digest))}${copyButton(view.digest, 'Copy the digest')}
            </li>`
    }
    ${view.isOwn && html`<li><a href="${view.repositoryPath}/-/delete?${tag === undefined ? `digest=${view.digest}` : `tag=${tag.name}`}">Delete</a></li>`}
  </ul>`
}

function content(view: ManifestPageView): Html {
  const { content } = view
  switch (content.kind) {
    case 'image':
      return imageContent(view, content)
    case 'index':
      return platformTable(content.children)
    case 'chart':
    case 'files':
      return artifactContent(view, content)
  }
}

function about(view: ManifestPageView): Html {
  const { about, annotations, labels } = view
  return html`${
    about.length > 0 &&
    html`<section aria-labelledby="origin">
      <h2 id="origin">Where it comes from</h2>
      <dl class="fact-list panel">
        ${about.map(({ href, label, text }) =>
          fact(
            label,
            href === undefined ? html`<span dir="auto">${breakable(text)}</span>` : outsideLink(href, text),
          ),
        )}
      </dl>
    </section>`
  }
  ${
    annotations.items.length > 0 &&
    html`<section aria-labelledby="annotations">
      <h2 id="annotations">Annotations</h2>
      ${namedTexts(annotations)}
    </section>`
  }
  ${
    labels.items.length > 0 &&
    html`<section aria-labelledby="labels">
      <h2 id="labels">Labels</h2>
      ${namedTexts(labels)}
    </section>`
  }`
}

function referrers(view: ManifestPageView): Html | '' {
  const { commands, list } = view.referrers
  if (list.items.length === 0) return ''
  return html`<section aria-labelledby="referrers">
    <h2 id="referrers">Signatures, SBOMs, attestations</h2>
    <table class="table">
      <thead>
        <tr>
          <th scope="col">What</th>
          <th scope="col">Digest</th>
          <th scope="col" class="number">Size</th>
          <th scope="col">Pushed</th>
        </tr>
      </thead>
      <tbody>
        ${list.items.map(
          (referrer) =>
            html`<tr>
              <th scope="row">${breakable(referrer.label)}</th>
              <td data-label="Digest">${digestLink(referrer.digest, referrer.path)}</td>
              <td data-label="Size" class="number">${size(referrer.sizeBytes)}</td>
              <td data-label="Pushed">${age(referrer.createdAt, view.now)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    ${more(list.moreCount, 'referrer')}
    <dl class="pulls wide after">
      ${commands.map(
        ({ client, command: text }, index) =>
          html`<div>
            <dt>${referrerVerb(text, index)}</dt>
            <dd>${command(text, `Copy the ${client} command`)}</dd>
          </div>`,
      )}
    </dl>
  </section>`
}

function scan({ now, scan }: ManifestPageView): Html | '' {
  if (scan === undefined) return ''
  const { hold, reportHref, sbomHref } = scan
  return html`<section aria-labelledby="scan">
    <h2 id="scan">Known vulnerabilities</h2>
    <div class="panel stack">
      <p>
        ${scanChips(scan)} found by <a href="${hold.path}">${hold.host}</a> ${age(scan.scannedAt, now)}${
          scan.scannerVersion !== '' && html` with ${scan.scannerVersion}`
        }
      </p>
      ${
        (reportHref ?? sbomHref) !== undefined &&
        html`<p class="buttons">
          ${reportHref && html`<a class="button small" href="${reportHref}" rel="nofollow noopener">Report</a>`}
          ${sbomHref && html`<a class="button small" href="${sbomHref}" rel="nofollow noopener">SBOM</a>`}
        </p>`
      }
    </div>
  </section>`
}

const referrerVerb = (text: string, index: number) =>
  index === 0 ? 'List them' : text.includes('attestation') ? 'Check statements' : 'Check signatures'

function details(view: ManifestPageView): Html {
  const { builtAt, hold, manifest, subject, tags } = view
  return html`<section aria-labelledby="details">
    <h2 id="details">Details</h2>
    <dl class="fact-list panel">
      ${fact('Digest', html`<span class="did"><code>${breakable(view.digest)}</code> ${copyButton(view.digest, 'Copy the whole digest')}</span>`)}
      ${fact('Media type', html`<code>${breakable(view.mediaType)}</code>`)}
      ${optionalFact('Artifact type', view.artifactType && html`<code>${breakable(view.artifactType)}</code>`)}
      ${optionalFact('Manifest', view.ownSizeBytes > 0 ? size(view.ownSizeBytes) : undefined)}
      ${fact('In all', html`${size(manifest.sizeBytes)}, every layer counted once`)}
      ${optionalFact('Built', builtAt && html`${age(builtAt, view.now)}, ${formatTime(builtAt)}`)}
      ${fact('Pushed', html`${age(manifest.createdAt, view.now)}, ${formatTime(manifest.createdAt)}`)}
      ${optionalFact('Layers in', hold && html`<span class="hold-line"><a href="${hold.path}" title="${hold.did}">${breakable(hold.host)}</a> ${view.health && healthDot(view.health)}</span>`)}
      ${optionalFact('About', subject && digestLink(subject.digest, subject.path))}
      ${optionalFact('Tags', tags.items.length === 0 ? undefined : tagList(view))} ${parents(view)}
    </dl>
  </section>`
}

function tagList({ repositoryPath, tags }: ManifestPageView): Html {
  return html`<ul class="inline-list">
    ${tags.items.map((tag) => html`<li><a class="tag" href="${tagPath(repositoryPath, tag)}">${tag}</a></li>`)}
    ${tags.moreCount > 0 && html`<li>and ${tags.moreCount.toLocaleString('en')} more</li>`}
  </ul>`
}

function parents({ parents, repositoryPath }: ManifestPageView): Html | '' {
  if (parents.length === 0) return ''
  return fact(
    parents.length === 1 ? 'Listed in index' : 'Listed in indexes',
    html`<ul class="inline-list">
      ${parents.map(
        ({ digest: parent, path, tags }) =>
          html`<li>
            ${digestLink(parent, path)}
            ${tags.map((tag) => html`<a class="tag" href="${tagPath(repositoryPath, tag)}">${tag}</a> `)}
          </li>`,
      )}
    </ul>`,
  )
}
