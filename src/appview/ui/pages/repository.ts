import { html, type Html } from '../../../http/html.ts'
import { age } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount } from '../../../lib/format.ts'
import type { ManifestView } from '../views/manifest.ts'
import { feedLinks } from './feed-links.ts'
import type { RepositoryView, TagView } from '../views/repository.ts'
import { layout, type Shell } from './layout.ts'
import { avatar, breakable, command, digest, platforms } from './parts.ts'

export function repositoryPage(shell: Shell, view: RepositoryView): Html {
  const { owner, name } = view
  return layout(shell, {
    title: `${owner.label}/${name}`,
    description: view.description ?? `Container image ${owner.label}/${name}`,
    card: `${view.path}/-/card.png`,
    feeds: feedLinks(`${view.path}/-`, `${owner.label}/${name}`),
    main: html`
      <header class="page-header">
        ${avatar({ label: name, picturePath: view.picturePath }, 'large')}
        <h1>
          <a class="owner" href="${owner.path}">${owner.label}</a><span class="slash">/</span
          ><wbr />${breakable(name)}
        </h1>
        ${view.description && html`<p class="lead" dir="auto">${view.description}</p>`} ${facts(view)}
      </header>
      <section class="panel" aria-labelledby="pull">
        <h2 id="pull">Pull</h2>
        <dl class="pulls">
          ${view.pulls.map(
            (pull) =>
              html`<div>
                <dt>${pull.client}</dt>
                <dd>${command(pull.command, `Copy the ${pull.client} command`)}</dd>
              </div>`,
          )}
        </dl>
      </section>
      ${tags(view)} ${untagged(view)}
    `,
  })
}

function facts(view: RepositoryView): Html {
  return html`<ul class="facts">
    <li>${formatCount(view.tagCount, 'tag')}</li>
    <li>${formatCount(view.manifestCount, 'manifest')}</li>
    <li title="${view.sizeBytes.toLocaleString('en')} bytes, every layer counted once">
      ${formatSize(view.sizeBytes)}
    </li>
    ${view.starCount > 0 && html`<li>${formatCount(view.starCount, 'star')}</li>`}
    <li>
      layers in ${view.holds.map(({ did, host }) => html`<span class="hold" title="${did}">${host}</span>`)}
    </li>
    <li>updated ${age(view.updatedAt, view.now)}</li>
  </ul>`
}

function tags(view: RepositoryView): Html {
  return html`<section aria-labelledby="tags">
    <h2 id="tags">Tags</h2>
    ${
      view.tags.length === 0
        ? html`<p class="empty">No tags. Manifests can be pulled by digest.</p>`
        : html`<table class="tags" role="table" aria-labelledby="tags">
            <thead role="rowgroup">
              <tr role="row">
                <th role="columnheader" scope="col">Tag</th>
                <th role="columnheader" scope="col">Digest</th>
                <th role="columnheader" scope="col">Platforms</th>
                <th role="columnheader" scope="col" class="number">Size</th>
                <th role="columnheader" scope="col">Pushed</th>
              </tr>
            </thead>
            <tbody role="rowgroup">
              ${view.tags.map((tag) => tagRow(tag, view.now))}
            </tbody>
          </table>`
    }
    ${view.page.count > 1 && pager(view)}
  </section>`
}

function tagRow({ tag, manifest, updatedAt }: TagView, now: Date): Html {
  return html`<tr role="row" id="tag-${tag}">
    <th role="rowheader" scope="row"><span class="tag">${tag}</span></th>
    <td role="cell">${digest(manifest.digest)}</td>
    <td role="cell">${platforms(manifest)}</td>
    <td role="cell" class="number">${formatSize(manifest.sizeBytes)}</td>
    <td role="cell">${age(updatedAt, now)}</td>
  </tr>`
}

function pager({ path, page }: RepositoryView): Html {
  const link = (number: number, text: string, rel: string) =>
    html`<a href="${path}?page=${number}#tags" rel="${rel}">${text}</a>`
  return html`<nav class="pager" aria-label="Pages of tags">
    ${page.number > 1 && link(page.number - 1, '← Newer', 'prev')}
    <span>Page ${page.number} of ${page.count}</span>
    ${page.number < page.count && link(page.number + 1, 'Older →', 'next')}
  </nav>`
}

function untagged(view: RepositoryView): Html | '' {
  if (view.untagged.length === 0) return ''
  return html`<section aria-labelledby="untagged">
    <h2 id="untagged">Manifests without a tag</h2>
    <ul class="manifests">
      ${view.untagged.map((manifest) => manifestItem(manifest, view.now))}
    </ul>
    ${view.hasMoreUntagged && html`<p class="note">These are the newest; there are more.</p>`}
  </section>`
}

function manifestItem(manifest: ManifestView, now: Date): Html {
  return html`<li>
    ${digest(manifest.digest)} ${platforms(manifest)}
    <span>${formatSize(manifest.sizeBytes)}</span>
    ${age(manifest.createdAt, now)}
  </li>`
}
