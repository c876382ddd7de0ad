import { html, type Html } from '../../../http/html.ts'
import { layout, type Shell } from '../../web/layout.ts'

/** A page that says one thing, and where to go on. */
export function messagePage(
  shell: Shell,
  message: { title: string; text: string; link: { href: string; text: string }; code?: string | undefined },
): Html {
  return layout(shell, {
    title: message.title,
    tagline: 'admin panel',
    main: html`<section class="stack narrow">
      <h1>${message.title}</h1>
      <p>${message.text}</p>
      ${message.code !== undefined && html`<p class="note">If it keeps happening, this number finds it in the log: <code>${message.code}</code></p>`}
      <p><a class="button" href="${message.link.href}">${message.link.text}</a></p>
    </section>`,
  })
}
