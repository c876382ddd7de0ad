import { html, type Html } from '../../../http/html.ts'
import { fact } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount, shortDigest } from '../../../lib/format.ts'
import type { Cut, NamedText } from '../views/loose-json.ts'
import type { ScanCounts } from '../views/scan.ts'
import type { OwnerView } from '../views/owner.ts'
import { breakable, dottedName, tabs } from './parts.ts'

/** Whose repository a page is about, and what of it. */
export function repositoryHeading(
  { name, owner, repositoryPath }: { owner: OwnerView; name: string; repositoryPath: string },
  rest: Html | string,
): Html {
  return html`<p class="path">
      <a class="owner" href="${owner.path}">${owner.label}</a><span class="slash">/</span><wbr /><a
        href="${repositoryPath}"
        >${breakable(name)}</a
      >
    </p>
    <h1>${rest}</h1>`
}

/** A digest by its first digits, leading to what it is the digest of. */
export function digestLink(digest: string, path: string | undefined): Html {
  const short = html`<code title="${digest}">${shortDigest(digest)}</code>`
  return path === undefined ? short : html`<a href="${path}" data-entry>${short}</a>`
}

/** The same, without the title: for long lists, where the address says it too. */
export function blobLink(digest: string, repositoryPath: string): Html {
  return html`<a href="${repositoryPath}/-/blob/${digest}" rel="nofollow"
    ><code>${shortDigest(digest)}</code></a
  >`
}

/** How much of the whole something takes; the number stands beside it. */
export function bar(percent: number): Html {
  const width = percent === 0 ? 0 : Math.max(0.5, Math.round(percent * 10) / 10)
  return html`<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
    <rect width="${width}" height="4" />
  </svg>`
}

/** The pages about one manifest. */
export function manifestTabs(
  place: { repositoryPath: string; digest: string; tag: string | undefined; path: string },
  current: 'overview' | 'history' | 'raw',
): Html {
  const { digest, path, repositoryPath, tag } = place
  const paths = {
    overview: path,
    history: `${repositoryPath}/-/history/${tag ?? ''}`,
    raw: `${repositoryPath}/-/raw/${digest}`,
  }
  return tabs(
    'Views of this manifest',
    [
      { path: paths.overview, text: 'Overview' },
      ...(tag === undefined ? [] : [{ path: paths.history, text: 'History' }]),
      { path: `${repositoryPath}/-/diff?to=${tag ?? digest}`, text: 'Compare' },
      { path: paths.raw, text: 'Raw JSON' },
    ],
    paths[current],
  )
}

/** A line of a fact list, if there is anything to say. */
export function optionalFact(name: string, value: Html | string | undefined): Html | '' {
  return value === undefined || value === '' ? '' : fact(name, value)
}

/** Names with their values, as they came. */
export function namedTexts({ items, moreCount }: Cut<NamedText>): Html {
  return html`<dl class="named">
      ${items.map(
        ({ name, text }) =>
          html`<div>
            <dt><code>${dottedName(name)}</code></dt>
            <dd><code dir="auto">${breakable(text)}</code></dd>
          </div>`,
      )}
    </dl>
    ${more(moreCount, 'entry', 'entries')}`
}

/** That a list goes on. */
export function more(count: number, noun: string, plural = `${noun}s`): Html | '' {
  return count === 0
    ? ''
    : html`<p class="note">
        And ${count === 1 ? `one more ${noun}` : `${count.toLocaleString('en')} more ${plural}`}, in the raw
        JSON.
      </p>`
}

/** `12 MB`, with the exact number on hover. */
export function size(sizeBytes: number): Html {
  return html`<span title="${formatCount(sizeBytes, 'byte')}">${formatSize(sizeBytes)}</span>`
}

export function outsideLink(href: string, text: string): Html {
  return html`<a href="${href}" rel="nofollow noopener">${breakable(text)}</a>`
}

/** How bad what a scanner found is, in a few words. */
export function scanChips(scan: ScanCounts): Html {
  const counts = severities.filter(({ key }) => scan[key] > 0)
  if (scan.total === 0 && counts.length === 0) return html`<span class="chip good">nothing known</span>`
  return html`<span class="chips"
    >${counts.map(({ key, look }) => html`<span class="chip ${look}">${scan[key].toLocaleString('en')} ${key}</span> `)}${
      counts.length === 0 && html`<span class="chip">${scan.total.toLocaleString('en')} minor</span>`
    }</span
  >`
}

const severities = [
  { key: 'critical', look: 'bad' },
  { key: 'high', look: 'bad' },
  { key: 'medium', look: 'warm' },
  { key: 'low', look: '' },
] as const
