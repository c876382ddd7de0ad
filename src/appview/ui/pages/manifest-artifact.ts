import { html, type Html } from '../../../http/html.ts'
import { fact } from '../../../http/page-parts.ts'
import { webAddress } from '../views/annotations.ts'
import type { ChartView, FileView } from '../views/artifact-content.ts'
import type { Cut } from '../views/loose-json.ts'
import type { ManifestContent, ManifestPageView } from '../views/manifest-page.ts'
import { configProblem } from './manifest-image.ts'
import { blobLink, more, namedTexts, outsideLink, size } from './manifest-parts.ts'
import { breakable } from './parts.ts'

type ArtifactContent = Extract<ManifestContent, { kind: 'chart' | 'files' }>

/** What is in a thing that is no image. */
export function artifactContent(view: ManifestPageView, content: ArtifactContent): Html {
  return html`${content.kind === 'chart' && content.chart && chart(content.chart)} ${files(view, content)}
  ${
    content.kind === 'files' &&
    content.facts.items.length > 0 &&
    html`<section aria-labelledby="config">
      <h2 id="config">Configuration</h2>
      ${namedTexts(content.facts)}
    </section>`
  }`
}

function chart({ dependencies, description, facts }: ChartView): Html {
  return html`<section aria-labelledby="chart">
    <h2 id="chart">Chart</h2>
    <dl class="fact-list panel">
      ${description && fact('Description', html`<span dir="auto">${description}</span>`)}
      ${facts.map(({ name, text }) => fact(name, linked(text)))}
    </dl>
    ${dependencies.items.length > 0 && dependencyTable(dependencies)}
  </section>`
}

function dependencyTable({ items, moreCount }: ChartView['dependencies']): Html {
  return html`<table class="table after">
      <caption class="visually-hidden">
        Dependencies of the chart
      </caption>
      <thead>
        <tr>
          <th scope="col">Depends on</th>
          <th scope="col">Version</th>
          <th scope="col">From</th>
        </tr>
      </thead>
      <tbody>
        ${items.map(
          ({ name, repository, version }) =>
            html`<tr>
              <th scope="row">${name}</th>
              <td data-label="Version"><code>${version ?? 'any'}</code></td>
              <td data-label="From">${linked(repository ?? 'beside it')}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    ${more(moreCount, 'dependency', 'dependencies')}`
}

function linked(text: string): Html {
  const href = webAddress(text)
  return href === undefined ? html`<span dir="auto">${breakable(text)}</span>` : outsideLink(href, text)
}

function files(
  view: ManifestPageView,
  { files, problem }: { files: Cut<FileView>; problem: ArtifactContent['problem'] },
): Html {
  return html`<section aria-labelledby="files">
    <h2 id="files">Files</h2>
    ${configProblem(problem, view)}
    ${
      files.items.length === 0
        ? html`<p class="empty">No files.</p>`
        : html`<table class="table">
            <thead>
              <tr>
                <th scope="col">File</th>
                <th scope="col">Type</th>
                <th scope="col">Digest</th>
                <th scope="col" class="number">Size</th>
              </tr>
            </thead>
            <tbody>
              ${files.items.map((file) => fileRow(file, view.repositoryPath))}
            </tbody>
          </table>`
    }
    ${more(files.moreCount, 'file')}
  </section>`
}

function fileRow({ digest, label, mediaType, sizeBytes, title }: FileView, repositoryPath: string): Html {
  return html`<tr>
    <th scope="row"><span class="file" dir="auto">${breakable(title ?? label)}</span></th>
    <td data-label="Type"><code class="type">${breakable(mediaType)}</code></td>
    <td data-label="Digest">${blobLink(digest, repositoryPath)}</td>
    <td data-label="Size" class="number">${size(sizeBytes)}</td>
  </tr>`
}
