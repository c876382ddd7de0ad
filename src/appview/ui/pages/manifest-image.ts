import { html, type Html } from '../../../http/html.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount } from '../../../lib/format.ts'
import type { BuildHistory, BuildStep, Command } from '../views/build-history.ts'
import type { ImageConfig } from '../views/image-config.ts'
import type { ConfigProblem, ManifestContent, ManifestPageView } from '../views/manifest-page.ts'
import { bar, blobLink, more, namedTexts, optionalFact } from './manifest-parts.ts'

type ImageContent = Extract<ManifestContent, { kind: 'image' }>

/** Layers beside the steps that made them, and how the image runs. */
export function imageContent(view: ManifestPageView, { config, history, problem }: ImageContent): Html {
  return html`<section aria-labelledby="layers">
      <h2 id="layers">
        ${history.steps.some(({ command }) => command) ? 'Layers and how they were built' : 'Layers'}
      </h2>
      ${configProblem(problem, view)} ${steps(view, history)}
    </section>
    ${config && configuration(config)}`
}

/** Why there is no config to be shown. */
export function configProblem(
  problem: ConfigProblem | undefined,
  { hold }: Pick<ManifestPageView, 'hold'>,
): Html | '' {
  if (problem === undefined) return ''
  return html`<p class="notice warm" role="status">${problems[problem](hold?.host ?? 'the hold')}</p>`
}

const problems: Record<ConfigProblem, (host: string) => string> = {
  unreachable: (host) =>
    `The hold ${host} did not give out the config just now, so build history and settings are missing here. Try again in a moment.`,
  missing: (host) => `The hold ${host} does not have the config of this manifest. Pulling it will fail.`,
  too_large: () => 'The config is larger than a page can show. It can be downloaded.',
  corrupt: (host) =>
    `What the hold ${host} has for the config is not what its digest promises. Pulling it will fail.`,
  unreadable: () => 'The config is not JSON, so there is nothing to show of it.',
}

function steps(view: ManifestPageView, history: BuildHistory): Html {
  if (history.steps.length === 0) return html`<p class="empty">No layers.</p>`
  return html`${
      history.isUnmatched &&
      html`<p class="note">The history in the config does not fit the layers, so it is left out.</p>`
    }
    <ol class="layers">
      ${history.steps.map((step) => stepItem(step, view.repositoryPath))}
    </ol>
    ${more(history.moreCount, 'step')}`
}

function stepItem({ command, layer }: BuildStep, repositoryPath: string): Html {
  return html`<li>
    <div class="step">${command ? commandText(command) : html`<span class="quiet">Layer</span>`}</div>
    ${
      layer === undefined
        ? html`<p class="layer quiet">no layer</p>`
        : html`<p class="layer">
            <span class="number">${formatSize(layer.sizeBytes)}</span> ${bar(layer.percent)}
            ${blobLink(layer.digest, repositoryPath)}
          </p>`
    }
  </li>`
}

function commandText({ instruction, lines }: Command): Html {
  return html`<pre><code>${instruction && html`<b>${instruction}</b> `}${lines.join('\n    ')}</code></pre>`
}

function configuration(config: ImageConfig): Html {
  const code = (text: string | undefined) => text && html`<code>${text}</code>`
  const list = (texts: { items: string[]; moreCount: number }) =>
    texts.items.length === 0
      ? undefined
      : html`<code>${texts.items.join(', ')}</code>${texts.moreCount > 0 && ` and ${texts.moreCount} more`}`
  return html`<section aria-labelledby="config">
      <h2 id="config">Configuration</h2>
      <dl class="fact-list panel">
        ${optionalFact('Platform', config.platform)} ${optionalFact('Entrypoint', code(config.entrypoint))}
        ${optionalFact('Command', code(config.cmd))} ${optionalFact('User', code(config.user ?? 'root'))}
        ${optionalFact('Working directory', code(config.workdir))}
        ${optionalFact('Ports', list(config.ports))} ${optionalFact('Volumes', list(config.volumes))}
        ${optionalFact('Health check', code(config.healthcheck))}
        ${optionalFact('Stop signal', code(config.stopSignal))} ${optionalFact('Author', config.author)}
      </dl>
    </section>
    ${
      config.env.items.length > 0 &&
      html`<section aria-labelledby="env">
        <h2 id="env">
          Environment
          <span class="count"
            >${formatCount(config.env.items.length + config.env.moreCount, 'variable')}</span
          >
        </h2>
        ${namedTexts(config.env)}
      </section>`
    }`
}
