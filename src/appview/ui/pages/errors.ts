import { html, type Html } from '../../../http/html.ts'
import { layout, type Shell } from './layout.ts'

/** Nothing under this address, with what may have happened and a way on. */
export function notFoundPage(shell: Shell, what: 'owner' | 'repository' | 'page', named: string): Html {
  const { title, advice } = absences[what]
  return layout(shell, {
    title,
    main: html`
      <section class="failure">
        <p class="status">404</p>
        <h1>${title}</h1>
        ${named !== '' && html`<p><code class="wanted">${named}</code></p>`}
        <p>${advice}</p>
        <p><a class="button" href="/">See recent pushes</a></p>
      </section>
    `,
  })
}

const absences = {
  owner: {
    title: 'No such account',
    advice:
      'Nobody answers to this handle or DID. It may be misspelled, have changed, or not be reachable now.',
  },
  repository: {
    title: 'No such repository',
    advice:
      'There is no public repository of this name. Check the spelling of handle and name; a private one can only be pulled by those who may.',
  },
  page: {
    title: 'Nothing here',
    advice: 'This address leads nowhere. It may be misspelled, or be an old link.',
  },
} as const

/** A hold that nobody here has heard of, and that does not tell. */
export function unknownHoldPage(shell: Shell, named: string): Html {
  return layout(shell, {
    title: 'No such hold',
    main: html`
      <section class="failure">
        <p class="status">404</p>
        <h1>No such hold</h1>
        <p><code class="wanted">${named}</code></p>
        <p>
          Nothing this registry knows rests in a hold of this name, and it did not say who it is when it was
          asked just now. A hold is named by its DID, such as <code>did:web:hold.example</code>. If it is
          yours, see that it is up and its <code>/.well-known/did.json</code> can be read from outside.
        </p>
        <p><a class="button" href="/">Back to the start</a></p>
      </section>
    `,
  })
}

/** Something failed on our side; the request's id finds it in the log. */
export function failurePage(shell: Shell, requestId: string | undefined, status: 500 | 503 = 500): Html {
  return layout(shell, {
    title: 'Something went wrong',
    main: html`
      <section class="failure">
        <p class="status">${status}</p>
        <h1>Something went wrong</h1>
        <p>The fault is on our side. Try again in a moment; pulling images is not affected by it.</p>
        ${
          requestId &&
          html`<p class="note">
            If it keeps happening, tell the operator this number: <code>${requestId}</code>
          </p>`
        }
        <p><a class="button" href="/">Back to the start</a></p>
      </section>
    `,
  })
}

/** A page that only says something, and leads on. */
export function messagePage(
  shell: Shell,
  message: { title: string; text: string; link?: { href: string; text: string } },
): Html {
  const { title, text, link = { href: '/', text: 'Back to the start' } } = message
  return layout(shell, {
    title,
    main: html`
      <section class="failure">
        <h1>${title}</h1>
        <p>${text}</p>
        <p><a class="button" href="${link.href}">${link.text}</a></p>
      </section>
    `,
  })
}
