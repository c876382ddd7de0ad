import { html, type Html } from '../../../http/html.ts'
import { age, fact } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount } from '../../../lib/format.ts'
import type { ManifestView } from '../views/manifest.ts'
import { manifestPath } from '../views/manifest-page.ts'
import type { RepositoryView } from '../views/repository.ts'
import { feedLinks } from './feed-links.ts'
import { healthDot } from './health.ts'
import { layout, type Shell } from './layout.ts'
import { digestLink } from './manifest-parts.ts'
import { avatar, breakable, platforms } from './parts.ts'
import { pullPanel } from './pull-guides.ts'
import { sparkline } from './sparkline.ts'
import { starButton } from './stars.ts'
import { tagSection } from './tag-list.ts'

/** A repository, with its README already in HTML. */
type RepositoryPageView = Omit<RepositoryView, 'readme'> & { readme: Html | undefined }

export function repositoryPage(shell: Shell, view: RepositoryPageView): Html {
  const { owner, name, readme } = view
  return layout(shell, {
    title: `${owner.label}/${name}`,
    description: view.summary ?? `Container image ${owner.label}/${name}`,
    card: `${view.path}/-/card.png`,
    feeds: feedLinks(`${view.path}/-`, `${owner.label}/${name}`),
    main: html`
      ${header(shell, view)} ${pullPanel(view.guides)}
      <section class="${readme === undefined ? 'about-only' : 'split'}" aria-label="About">
        ${readme !== undefined && html`<article class="markdown" aria-label="Readme">${readme}</article>`}
        ${aside(view)}
      </section>
      ${tagSection(view)} ${untagged(view)}
    `,
  })
}

function header(shell: Shell, view: RepositoryPageView): Html {
  const { owner, name, path } = view
  return html`<header class="repository-header">
    ${avatar({ label: name, picturePath: view.picturePath }, 'large')}
    <div class="page-header">
      <h1>
        <a class="owner" href="${owner.path}">${owner.label}</a><span class="slash">/</span
        ><wbr />${breakable(name)} ${view.isPrivate && html`<span class="chip warm">Private</span>`}
      </h1>
      ${view.lead && html`<p class="lead" dir="auto">${view.lead}</p>`}
      <ul class="facts">
        <li><a href="#tags">${formatCount(view.tagList.allCount, 'tag')}</a></li>
        <li>${formatCount(view.pullCount, 'pull')}</li>
        <li title="${view.sizeBytes.toLocaleString('en')} bytes, every layer counted once">
          ${formatSize(view.sizeBytes)}
        </li>
        <li>updated ${age(view.updatedAt, view.now)}</li>
      </ul>
    </div>
    <div class="buttons no-print">
      ${starButton(shell, view.star, path)}
      ${view.isOwn && html`<a class="button small" href="${path}/-/edit">Edit</a>`}
    </div>
  </header>`
}

function aside(view: RepositoryPageView): Html {
  const { about, history } = view
  return html`<aside class="stack fill" aria-label="Facts">
    <section class="stack" aria-labelledby="pulls">
      <h2 class="label" id="pulls">Pulls in 30 days</h2>
      ${sparkline(history)}
    </section>
    <dl class="fact-list">
      ${
        view.platforms.length > 0 &&
        fact(
          'Platforms',
          html`<span class="chips"
            >${view.platforms.map((platform) => html`<span class="chip">${platform}</span> `)}</span
          >`,
        )
      }
      ${about.facts.map(({ label, text }) => fact(label, html`<span dir="auto">${text}</span>`))}
      ${about.links.map(({ label, url }) =>
        fact(label, html`<a href="${url}" rel="nofollow ugc noopener">${breakable(hostAndPath(url))}</a>`),
      )}
      ${fact('Contents', `${formatCount(view.manifestCount, 'manifest')}, ${formatSize(view.sizeBytes)}`)}
      ${fact(
        'Layers in',
        html`${view.holds.map(({ health, hold }) => html`<span class="hold-line"><a href="${hold.path}" title="${hold.did}">${breakable(hold.host)}</a> ${health && healthDot(health)}</span>`)}`,
      )}
    </dl>
  </aside>`
}

function hostAndPath(url: string): string {
  const { host, pathname } = new URL(url)
  return host + pathname.replace(/\/$/, '')
}

function untagged(view: RepositoryPageView): Html | '' {
  if (view.untagged.length === 0) return ''
  return html`<section aria-labelledby="untagged">
    <h2 id="untagged">Manifests without a tag</h2>
    <ul class="manifests">
      ${view.untagged.map((manifest) => manifestItem(manifest, view))}
    </ul>
    ${view.hasMoreUntagged && html`<p class="note">These are the newest; there are more.</p>`}
  </section>`
}

function manifestItem(manifest: ManifestView, { isOwn, now, path }: RepositoryPageView): Html {
  return html`<li>
    <span class="digest">${digestLink(manifest.digest, manifestPath(path, manifest.digest))}</span>
    ${platforms(manifest)}
    <span>${formatSize(manifest.sizeBytes)}</span>
    ${age(manifest.createdAt, now)}
    ${
      isOwn &&
      html`<a
        class="button small danger"
        href="${path}/-/delete?digest=${manifest.digest}"
        aria-label="Delete ${manifest.digest.slice(0, 19)}"
        >Delete</a
      >`
    }
  </li>`
}
