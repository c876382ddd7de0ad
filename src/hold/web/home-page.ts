import { html, type Html } from '../../http/html.ts'
import type { CaptainRecord } from '../../protocol/lexicon/captain-record.ts'

/** What the page shows. */
export interface HomeView {
  did: string
  publicUrl: string
  captain: CaptainRecord
}

/** The front page of a hold. */
export function homePage({ did, publicUrl, captain }: HomeView): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Hold ${new URL(publicUrl).host}</title>
        <style>
          :root {
            color-scheme: light dark;
            font:
              1rem/1.6 system-ui,
              sans-serif;
          }
          body {
            max-width: 42rem;
            margin: 4rem auto;
            padding: 0 1.25rem;
            color: light-dark(#1b2733, #e4e9ee);
            background: light-dark(#fbfcfd, #12181f);
          }
          h1 {
            font-size: 1.6rem;
            line-height: 1.2;
            margin: 0 0 0.25rem;
            overflow-wrap: anywhere;
          }
          p {
            margin: 0 0 1.5rem;
            color: light-dark(#4d5b69, #a3b0bd);
          }
          dl {
            display: grid;
            grid-template-columns: max-content 1fr;
            gap: 0.6rem 1.5rem;
            margin: 0;
            padding: 1.25rem 1.5rem;
            border: 1px solid light-dark(#d9e0e7, #2b3641);
            border-radius: 0.75rem;
            background: light-dark(#fff, #18202a);
          }
          dt {
            color: light-dark(#4d5b69, #a3b0bd);
          }
          dd {
            margin: 0;
            overflow-wrap: anywhere;
          }
          code {
            font:
              0.95em ui-monospace,
              monospace;
          }
          @media (max-width: 30rem) {
            dl {
              grid-template-columns: 1fr;
              gap: 0.1rem;
            }
            dd {
              margin-bottom: 0.6rem;
            }
          }
        </style>
      </head>
      <body>
        <main>
          <h1>${new URL(publicUrl).host}</h1>
          <p>This is a hold: it keeps the layers of container images for an ATCR registry.</p>
          <dl>
            <dt>DID</dt>
            <dd><code>${did}</code></dd>
            <dt>Captain</dt>
            <dd><code>${captain.ownerDid}</code></dd>
            <dt>Reading</dt>
            <dd>${captain.isPublic ? 'open to everyone' : 'for crew only'}</dd>
            <dt>Writing</dt>
            <dd>${captain.allowAllCrew ? 'crew; anyone who asks may join' : 'crew, by invitation'}</dd>
            ${
              captain.region === undefined
                ? ''
                : html`<dt>Region</dt>
                    <dd>${captain.region}</dd>`
            }
            ${
              captain.successorDid === undefined
                ? ''
                : html`<dt>Successor</dt>
                    <dd><code>${captain.successorDid}</code></dd>`
            }
          </dl>
        </main>
      </body>
    </html>`
}
