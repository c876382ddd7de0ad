import { html, type Html } from '../../../http/html.ts'
import { notice } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount } from '../../../lib/format.ts'
import type { TextChange } from '../views/changes.ts'
import type { Cut } from '../views/loose-json.ts'
import type {
  BlobView,
  DiffSide,
  ManifestDifference,
  ManifestDiffView,
  PlatformChange,
} from '../views/manifest-diff.ts'
import { layout, type Shell } from './layout.ts'
import { blobLink, digestLink, more, repositoryHeading, size } from './manifest-parts.ts'
import { breakable, dottedName } from './parts.ts'

/** What changed between two manifests, and a form to choose others. */
export function manifestDiffPage(shell: Shell, view: ManifestDiffView): Html {
  const { difference, from, name, owner, to } = view
  const title = from.text === '' || to.text === '' ? 'Compare' : `Compare ${from.text} with ${to.text}`
  return layout(shell, {
    title: `${title} · ${owner.label}/${name}`,
    isUnlisted: true,
    main: html`
      <header class="page-header">${repositoryHeading(view, 'Compare')}</header>
      <section aria-label="What to compare">${form(view)}</section>
      ${difference ? result(view, difference) : suggestions(view)}
    `,
  })
}

function form({ from, path, repositoryPath, tags, to }: ManifestDiffView): Html {
  return html`<form class="panel compare" action="${path}">
    ${side('from', 'From', from)} ${side('to', 'To', to)}
    <p class="buttons">
      <button class="button primary">Compare</button>
      ${
        from.text !== '' &&
        to.text !== '' &&
        html`<a
          class="button"
          href="${path}?from=${encodeURIComponent(to.text)}&amp;to=${encodeURIComponent(from.text)}"
          >Swap</a
        >`
      }
      <a href="${repositoryPath}">Back to the repository</a>
    </p>
    <datalist id="tags">${tags.map((tag) => html`<option value="${tag}"></option>`)}</datalist>
  </form>`
}

function side(name: string, label: string, { found, text }: DiffSide): Html {
  const isMissing = text !== '' && found === undefined
  return html`<p class="field">
    <label for="${name}">${label}</label>
    <input
      class="input"
      id="${name}"
      name="${name}"
      value="${text}"
      list="tags"
      required
      maxlength="140"
      autocapitalize="none"
      spellcheck="false"
      placeholder="A tag or digest"
      ${isMissing ? html`aria-invalid="true" aria-describedby="${name}-error"` : ''}
    />
    ${
      isMissing
        ? html`<span class="error" id="${name}-error" role="alert"
            >There is no such tag or manifest here for you to see.</span
          >`
        : found &&
          html`<span class="hint"
            >${digestLink(found.digest, found.path)} · ${found.what} · ${formatSize(found.sizeBytes)}</span
          >`
    }
  </p>`
}

function suggestions({ from, path, tags, to }: ManifestDiffView): Html | '' {
  const [name, other] = to.found === undefined ? (['to', from] as const) : (['from', to] as const)
  const fixed = name === 'from' ? 'to' : 'from'
  const others = tags.filter((tag) => tag !== other.text).slice(0, 20)
  if (other.found === undefined || others.length === 0) return ''
  return html`<section aria-labelledby="others">
    <h2 id="others">Compare ${other.text} with</h2>
    <ul class="inline-list">
      ${others.map(
        (tag) =>
          html`<li>
            <a
              class="tag"
              href="${path}?${fixed}=${encodeURIComponent(other.text)}&amp;${name}=${tag}"
              data-entry
              >${tag}</a
            >
          </li>`,
      )}
    </ul>
  </section>`
}

function result(view: ManifestDiffView, difference: ManifestDifference): Html {
  const { from, repositoryPath, to } = view
  if (from.found?.digest === to.found?.digest)
    return html`<section>${notice('good', 'Both are the very same manifest, byte for byte.')}</section>`
  return html`${sizes(view, difference)} ${difference.choices.length > 0 && choices(difference.choices)}
  ${difference.platforms && platformChanges(difference.platforms, repositoryPath)}
  ${difference.layers && layers(difference.layers, repositoryPath)} ${problem(difference)}
  ${changes('settings', 'Configuration', difference.settings)} ${steps(difference.steps)}
  ${changes('annotations', 'Annotations', difference.annotations)}`
}

function sizes({ from, to }: ManifestDiffView, { layers }: ManifestDifference): Html {
  const [before, after] = [from.found?.sizeBytes ?? 0, to.found?.sizeBytes ?? 0]
  return html`<section aria-labelledby="size">
    <h2 id="size">Size</h2>
    <p>
      ${before === after ? html`${size(after)}, the same.` : html`${size(before)} → ${size(after)}, ${signed(after - before)}.`}
      ${
        layers &&
        html`Who has the first downloads ${formatSize(layers.addedBytes)} for the second;
        ${formatCount(layers.keptCount, 'layer')} (${formatSize(layers.keptBytes)})
        ${layers.keptCount === 1 ? 'is' : 'are'} in both.`
      }
    </p>
  </section>`
}

function signed(bytes: number): Html {
  if (bytes === 0) return html`the same`
  return bytes > 0
    ? html`<span class="chip warm">${formatSize(bytes)} more</span>`
    : html`<span class="chip good">${formatSize(-bytes)} less</span>`
}

function choices(list: ManifestDifference['choices']): Html {
  return html`<section aria-labelledby="choices">
    <h2 id="choices">Which platform?</h2>
    <p>One of the two is for several platforms, the other is for one. Compare it with:</p>
    <ul class="inline-list after">
      ${list.map(({ name, path }) => html`<li><a class="button small" href="${path}" data-entry>${name}</a></li>`)}
    </ul>
  </section>`
}

function platformChanges(list: readonly PlatformChange[], repositoryPath: string): Html {
  return html`<section aria-labelledby="platforms">
    <h2 id="platforms">Platforms</h2>
    <table class="table">
      <thead>
        <tr>
          <th scope="col">Platform</th>
          <th scope="col">From</th>
          <th scope="col">To</th>
          <th scope="col">Size</th>
          <th scope="col">Changes</th>
        </tr>
      </thead>
      <tbody>
        ${list.map((change) => platformRow(change, repositoryPath))}
      </tbody>
    </table>
  </section>`
}

function platformRow({ diffPath, from, name, to }: PlatformChange, repositoryPath: string): Html {
  const cell = (child: PlatformChange['from'], absent: string) =>
    child === undefined
      ? html`<span class="quiet">${absent}</span>`
      : digestLink(child.digest, `${repositoryPath}/manifests/${child.digest}`)
  return html`<tr>
    <th scope="row">${breakable(name)}</th>
    <td data-label="From">${cell(from, 'not there')}</td>
    <td data-label="To">${cell(to, 'not there')}</td>
    <td data-label="Size">
      ${from && to ? signed(to.sizeBytes - from.sizeBytes) : formatSize((from ?? to)?.sizeBytes ?? 0)}
    </td>
    <td data-label="Changes">${platformState(from, to, diffPath)}</td>
  </tr>`
}

function platformState(
  from: PlatformChange['from'],
  to: PlatformChange['to'],
  diffPath: string | undefined,
): Html {
  if (from === undefined) return html`<span class="chip good">added</span>`
  if (to === undefined) return html`<span class="chip bad">removed</span>`
  if (from.digest === to.digest) return html`<span class="quiet">none</span>`
  return diffPath === undefined
    ? html`<span>changed</span>`
    : html`<a href="${diffPath}" data-entry>Compare</a>`
}

function layers(changed: NonNullable<ManifestDifference['layers']>, repositoryPath: string): Html {
  const { added, removed } = changed
  return html`<section aria-labelledby="layers">
    <h2 id="layers">Layers</h2>
    ${
      added.items.length + removed.items.length === 0
        ? html`<p>Both have the same layers.</p>`
        : html`<ul class="diff">
            ${removed.items.map((layer) => layerItem('removed', layer, repositoryPath))}
            ${added.items.map((layer) => layerItem('added', layer, repositoryPath))}
          </ul>`
    }
    ${more(removed.moreCount + added.moreCount, 'layer')}
  </section>`
}

function layerItem(kind: 'added' | 'removed', layer: BlobView, repositoryPath: string): Html {
  return html`<li class="${kind}">
    ${sign(kind)}
    <span class="grow"
      >${layer.label === undefined ? html`<span class="quiet">layer</span>` : html`<code>${layer.label}</code>`}</span
    >
    <span class="number">${formatSize(layer.sizeBytes)}</span> ${blobLink(layer.digest, repositoryPath)}
  </li>`
}

/** Colour alone says nothing. */
function sign(kind: 'added' | 'removed'): Html {
  return html`<b
    ><span class="visually-hidden">${kind} </span
    ><span aria-hidden="true">${kind === 'added' ? '+' : '−'}</span></b
  >`
}

function problem({ problem }: ManifestDifference): Html | '' {
  if (problem === undefined) return ''
  return html`<section>
    ${notice('warm', 'The config of one of them could not be read just now, so settings and build steps are not compared.')}
  </section>`
}

function changes(id: string, title: string, { items, moreCount }: Cut<TextChange>): Html | '' {
  if (items.length === 0) return ''
  return html`<section aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    <dl class="named">
      ${items.map(
        ({ from, name, to }) =>
          html`<div>
            <dt>${dottedName(name)}</dt>
            <dd>
              <ul class="diff plain-diff">
                ${from !== undefined && textItem('removed', from)}
                ${to !== undefined && textItem('added', to)}
              </ul>
            </dd>
          </div>`,
      )}
    </dl>
    ${more(moreCount, 'change')}
  </section>`
}

function textItem(kind: 'added' | 'removed', text: string): Html {
  return html`<li class="${kind}">
    ${sign(kind)} <code class="grow" dir="auto">${text === '' ? '(empty)' : breakable(text)}</code>
  </li>`
}

function steps({ added, removed }: ManifestDifference['steps']): Html | '' {
  if (added.items.length + removed.items.length === 0) return ''
  return html`<section aria-labelledby="steps">
    <h2 id="steps">Build steps</h2>
    <ul class="diff">
      ${removed.items.map((text) => textItem('removed', text))}
      ${added.items.map((text) => textItem('added', text))}
    </ul>
    ${more(added.moreCount + removed.moreCount, 'step')}
  </section>`
}
