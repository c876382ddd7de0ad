import { html, type Html } from '../../../http/html.ts'
import { age } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount, formatNumber, shortDigest } from '../../../lib/format.ts'
import type { ManifestView } from '../views/manifest.ts'
import type { PageNumber } from '../views/paging.ts'
import type { RepositoryEntry } from '../views/repository-list.ts'

/** A digest by its first digits; the whole of it on hover, and to copy. */
export function digest(text: string): Html {
  return html`<span class="digest"
    ><code title="${text}">${shortDigest(text)}</code
    >${copyButton(text, `Copy digest ${shortDigest(text)}`)}</span
  >`
}

/** The picture of an account or a repository, beside its name; where there is none, its first letter. */
export function avatar(
  of: { label: string; picturePath?: string | undefined },
  size: 'small' | 'large' = 'small',
): Html {
  const { label, picturePath } = of
  if (picturePath === undefined) {
    const [letter = ''] = label.replace(/^did:[a-z]+:/, '').replace(/^[^\p{L}\p{N}]+/u, '')
    return html`<span class="avatar ${size} ${toneOf(label)}" aria-hidden="true"
      >${letter.toUpperCase()}</span
    >`
  }
  const pixels = size === 'small' ? '32' : '72'
  return html`<img
    class="avatar ${size}"
    src="${picturePath}"
    alt=""
    width="${pixels}"
    height="${pixels}"
    loading="lazy"
    decoding="async"
  />`
}

const tones = ['accent', 'warm', 'good', 'bad'] as const

/** The same for the same name, everywhere. */
function toneOf(label: string): string {
  let sum = 0
  for (const character of label) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9973
  return tones[sum % tones.length] as string
}

/** A button that copies; without JavaScript it is not there. */
export function copyButton(text: string, label: string): Html {
  return html`<button
    class="copy"
    type="button"
    data-copy="${text}"
    aria-label="${label}"
    title="Copy"
    hidden
  >
    <svg class="icon-copy" viewBox="0 0 16 16" aria-hidden="true">
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
      <path d="M10.5 3.2A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5c0 .6.3 1.1.8 1.3" />
    </svg>
    <svg class="icon-copied" viewBox="0 0 16 16" aria-hidden="true"><path d="m3 8.5 3.2 3.2L13 5" /></svg>
  </button>`
}

/** A command to paste: one click selects all of it. */
export function command(text: string, label: string): Html {
  return html`<div class="command">
    <pre><code>${breakable(text)}</code></pre>
    ${copyButton(text, label)}
  </div>`
}

/** Lines of one kind each, one shown at a time: a choice that needs no script, and works by arrow keys. */
export function choices(
  name: string,
  legend: string,
  entries: readonly { text: string; content: Html }[],
): Html {
  return html`<fieldset class="choices">
    <legend class="visually-hidden">${legend}</legend>
    ${entries.map(
      ({ content, text }, index) =>
        html`<input type="radio" name="${name}" id="${name}-${index}" ${index === 0 ? 'checked' : ''} />
          <label for="${name}-${index}">${text}</label>
          <section class="choice" aria-label="${text}">${content}</section>`,
    )}
  </fieldset>`
}

/** Where an image runs, or what a thing is that is no image; nothing where the record does not tell. */
export function platforms({ kindLabel, platforms }: ManifestView): Html | '' {
  if (kindLabel === undefined && platforms.length === 0) return ''
  const rest = platforms.slice(platformCountMax)
  return html`<span class="chips">
    ${kindLabel && html`<span class="chip warm">${kindLabel}</span>`}
    ${platforms.slice(0, platformCountMax).map((platform) => html`<span class="chip">${platform}</span> `)}
    ${rest.length > 0 && html`<span class="chip" title="${rest.join(', ')}">and ${rest.length} more</span>`}
  </span>`
}

/** A name or command that may be broken after each slash, colon and at sign, rather than anywhere. */
export function breakable(text: string, after = /(?<=[/:@])/): Html {
  return html`${text.split(after).map((part, index) => (index === 0 ? part : html`<wbr />${part}`))}`
}

/** The name of an annotation or label, such as `org.opencontainers.image.created`, which may break at its dots. */
export const dottedName = (name: string): Html => breakable(name, /(?=\.)|(?<=[/:@])/)

const platformCountMax = 6

/** The parts of one thing, each with an address of its own; the present one marked. */
export function tabs(
  label: string,
  places: readonly { path: string; text: string; count?: number | undefined }[],
  current: string,
): Html {
  return html`<nav class="tabs" aria-label="${label}">
    <ul>
      ${places.map(
        ({ count, path, text }) =>
          html`<li>
            ${path === current ? html`<a href="${path}" aria-current="page">${tabText(text, count)}</a>` : html`<a href="${path}">${tabText(text, count)}</a>`}
          </li>`,
      )}
    </ul>
  </nav>`
}

const tabText = (text: string, count: number | undefined): Html =>
  html`${text}${count !== undefined && html` <span class="count">${formatNumber(count)}</span>`}`

/** The way to the pages before and after; nothing where there is but one. */
export function pager(
  { count, number }: Pick<PageNumber, 'count' | 'number'>,
  { href, label }: { label: string; href: (number: number) => string },
): Html | '' {
  if (count === 1) return ''
  const link = (to: number, text: string, rel: string) => html`<a href="${href(to)}" rel="${rel}">${text}</a>`
  return html`<nav class="pager" aria-label="${label}">
    ${number > 1 && link(number - 1, '← Previous', 'prev')}
    <span>Page ${number} of ${count}</span>
    ${number < count && link(number + 1, 'Next →', 'next')}
  </nav>`
}

/** Repositories, one entry each. */
export function repositoryList(
  entries: readonly RepositoryEntry[],
  { now, isOwnerShown }: { now: Date; isOwnerShown: boolean },
): Html {
  return html`<ul class="repositories">
    ${entries.map((entry) => repositoryItem(entry, now, isOwnerShown))}
  </ul>`
}

/** Marks what only some may see, the one who looks among them. */
export const privateChip = html`<span class="chip" title="Its layers rest in a hold that is for crew only"
  >private</span
>`

/** One repository of a list. */
export function repositoryItem(entry: RepositoryEntry, now: Date, isOwnerShown: boolean): Html {
  const { owner, latest } = entry
  const manifest = latest?.manifest
  return html`<li data-repository="${entry.path}">
    <div class="repository-head">
      ${avatar({ label: isOwnerShown ? owner.label : entry.name, picturePath: entry.picturePath })}
      <h3>
        ${isOwnerShown && html`<a class="owner" href="${owner.path}">${owner.label}</a><span class="slash">/</span><wbr />`}<a
          href="${entry.path}"
          data-entry
          >${breakable(entry.name)}</a
        >
        ${entry.isPrivate === true && privateChip}
      </h3>
      ${age(entry.updatedAt, now)}
    </div>
    ${entry.description && html`<p class="description" dir="auto">${entry.description}</p>`}
    <p class="facts">
      ${latest && html`<span class="tag">${latest.tag}</span>`} ${manifest && platforms(manifest)}
      ${manifest && html`<span>${formatSize(manifest.sizeBytes)}</span>`}
      <span>${entry.hasMoreTags && 'more than '}${formatCount(entry.tagCount, 'tag')}</span>
      ${entry.starCount > 0 && html`<span>${formatCount(entry.starCount, 'star')}</span>`}
      ${entry.pullCount > 0 && html`<span>${formatCount(entry.pullCount, 'pull')}</span>`}
    </p>
  </li>`
}
