import { html, type Html } from '../../../http/html.ts'
import { layout, type Shell } from './layout.ts'

/** A repository that is there, and something in it that is not; with ways on. */
export function missingManifestPage(
  shell: Shell,
  missing: {
    title: string
    named: string
    advice: string
    links: { path: string; text: string }[]
    status?: number
  },
): Html {
  return layout(shell, {
    title: missing.title,
    isUnlisted: true,
    main: html`
      <section class="failure">
        <p class="status">${missing.status ?? 404}</p>
        <h1>${missing.title}</h1>
        ${missing.named !== '' && html`<p><code class="wanted">${missing.named}</code></p>`}
        <p>${missing.advice}</p>
        <p class="buttons">
          ${missing.links.map(({ path, text }) => html`<a class="button" href="${path}">${text}</a> `)}
        </p>
      </section>
    `,
  })
}
