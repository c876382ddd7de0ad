import { html, type Html } from '../../../http/html.ts'
import { age } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { tagPath } from '../views/manifest-page.ts'
import type { RepositoryView, TagListView, TagView } from '../views/repository.ts'
import { scanChips } from './manifest-parts.ts'
import { digest, pager, platforms } from './parts.ts'

/** From this many on there is something to filter. */
const filterCountMin = 8

/** The tags of a repository; its owner can choose some of them to be deleted. */
export function tagSection(
  view: Pick<RepositoryView, 'isOwn' | 'now' | 'path' | 'tagList' | 'untagged'>,
): Html {
  const { isOwn, path, tagList } = view
  return html`<section aria-labelledby="tags">
    <div class="head tags-head">
      <h2 id="tags">Tags</h2>
      ${tagList.allCount >= filterCountMin && filterForm(path, tagList)}
    </div>
    ${tagList.tags.length === 0 ? nothing(view) : isOwn ? chooseForm(view) : table(view)}
    ${pager(tagList.page, { label: 'Pages of tags', href: (number) => pageAddress(path, tagList, number) })}
  </section>`
}

function nothing({ path, tagList }: Pick<RepositoryView, 'path' | 'tagList'>): Html {
  if (tagList.query === '') return html`<p class="empty">No tags. Manifests can be pulled by digest.</p>`
  return html`<p class="empty">
    No tag has “${tagList.query}” in its name.
    <a href="${path}#tags">All ${tagList.allCount.toLocaleString('en')}</a>
  </p>`
}

function filterForm(path: string, { order, query }: TagListView): Html {
  const option = (value: string, text: string) =>
    html`<option value="${value}" ${order === value ? 'selected' : ''}>${text}</option>`
  return html`<form class="filter" action="${path}#tags" role="search" aria-label="Tags">
    <label class="visually-hidden" for="tag-query">Part of a tag’s name</label>
    <input
      class="input"
      type="search"
      id="tag-query"
      name="q"
      value="${query}"
      maxlength="128"
      placeholder="Filter tags"
    />
    <label class="visually-hidden" for="tag-sort">Order</label>
    <select class="input" id="tag-sort" name="sort">
      ${option('newest', 'Newest first')} ${option('name', 'By name')}
    </select>
    <button class="button">Show</button>
  </form>`
}

function pageAddress(path: string, { order, query }: TagListView, number: number): string {
  const parameters = new URLSearchParams({
    ...(query !== '' && { q: query }),
    ...(order !== 'newest' && { sort: order }),
    ...(number > 1 && { page: String(number) }),
  })
  return `${path}?${parameters.toString()}#tags`
}

/** To the page that says what deleting means; nothing is done here. */
function chooseForm(view: Pick<RepositoryView, 'isOwn' | 'now' | 'path' | 'tagList'>): Html {
  return html`<form action="${view.path}/-/delete">
    ${table(view)}
    <p class="note no-print">
      <button class="button small danger">Delete the chosen tags …</button>
    </p>
  </form>`
}

function table({
  isOwn,
  now,
  path,
  tagList,
}: Pick<RepositoryView, 'isOwn' | 'now' | 'path' | 'tagList'>): Html {
  const hasScans = tagList.tags.some(({ scan }) => scan !== undefined)
  return html`<table class="tags" role="table" aria-labelledby="tags">
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
        ${tagList.tags.map((tag) => row(tag, { isOwn, now, path }))}
      </tbody>
    </table>
    ${hasScans && html`<p class="note">Scans are the word of the hold that keeps the image.</p>`}`
}

function row(
  { manifest, scan, tag, updatedAt }: TagView,
  { isOwn, now, path }: { isOwn: boolean; now: Date; path: string },
): Html {
  return html`<tr role="row" id="tag-${tag}">
    <th role="rowheader" scope="row">
      ${isOwn && html`<input type="checkbox" name="tag" value="${tag}" aria-label="Choose ${tag}" />`}
      <a class="tag" href="${tagPath(path, tag)}" data-entry>${tag}</a>
    </th>
    <td role="cell">${digest(manifest.digest)}</td>
    <td role="cell">
      ${platforms(manifest)} ${scan && html`<span title="Known vulnerabilities">${scanChips(scan)}</span>`}
    </td>
    <td role="cell" class="number">${formatSize(manifest.sizeBytes)}</td>
    <td role="cell">${age(updatedAt, now)}</td>
  </tr>`
}
