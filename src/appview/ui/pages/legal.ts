import { html, type Html } from '../../../http/html.ts'
import { layout, type Shell } from './layout.ts'

export interface LegalView {
  host: string
  /** As the subject of a sentence. */
  operator: string
  jurisdiction: string | undefined
}

/** What people and the operator may expect of each other. */
export function termsPage(shell: Shell, { host, jurisdiction, operator }: LegalView): Html {
  return legalPage(shell, {
    title: 'Terms',
    lead: html`What you may expect of ${host}, and what is expected of you. The registry is run by
    ${operator}.`,
    parts: [
      {
        id: 'service',
        title: 'What this is',
        text: html`<p>
            ${host} is a front to container images on the AT Protocol. Manifests and tags are records in the
            data repo of whoever pushed them; layers rest in holds, which others may run. This registry shows
            them and leads clients to them. It does not own them.
          </p>
          <p>It is offered as it is, without a promise that it is always there or free of faults.</p>`,
      },
      {
        id: 'yours',
        title: 'What is yours stays yours',
        text: html`<p>
          What you push belongs to you, or to whom it belonged before. By pushing you let this registry and
          the hold you push to store it, copy it and hand it to those who may pull it: to everybody, unless it
          rests in a hold that is not public. You can take your records to another server, and your images to
          another registry, at any time.
        </p>`,
      },
      {
        id: 'conduct',
        title: 'What is not allowed',
        text: html`<ul class="bullets">
          <li>Pushing what you have no right to spread, or what the law forbids.</li>
          <li>Malware meant to harm those who pull it; images that pass for somebody else’s.</li>
          <li>Using the registry as plain file storage, or straining it so that others suffer.</li>
          <li>Getting around limits, or into what is not yours.</li>
        </ul>`,
      },
      {
        id: 'end',
        title: 'When it ends',
        text: html`<p>
            You may stop at any time: <a href="/settings/data">export or delete your data</a>. Who breaks
            these terms may be shut out of this registry. That does not touch your account or your records,
            which are not kept here; each hold decides for itself about the layers in it.
          </p>
          ${
            jurisdiction !== undefined &&
            html`<p>
              For whatever has to be settled between you and ${operator}, the law of ${jurisdiction} applies.
            </p>`
          }`,
      },
    ],
  })
}

/** What is kept, where, for how long, and how to have it deleted. It says what the software does. */
export function privacyPage(shell: Shell, { host, jurisdiction, operator }: LegalView): Html {
  return legalPage(shell, {
    title: 'Privacy',
    lead: html`What is kept about you, where, and for how long. Answerable for what this registry keeps is
    ${operator}.`,
    parts: [publicPart, keptPart, elsewherePart, notPart, choicesPart(host, operator, jurisdiction)],
  })
}

const publicPart = {
  id: 'public',
  title: 'What is public anyway',
  text: html`<p>
    Manifests, tags, stars, repository pages and your default hold are records in your own data repo on the AT
    Protocol. Anybody can read them there, and follow them as they change. This registry keeps an index of
    them, with the bytes of manifests and your public profile (name, text, picture), to show pages and answer
    clients quickly. When you delete a record, it leaves the index too, usually within seconds. That a record
    was there and is deleted stays noted, so that old news does not bring it back.
  </p>`,
}

const keptPart = {
  id: 'kept',
  title: 'What only this registry keeps',
  text: html`<ul class="bullets">
      <li>
        <strong>Sign-ins</strong>: for each browser its name, its address, and when it was used. Ends two
        weeks after its last use, after 90 days at most, or when you sign out.
      </li>
      <li>
        <strong>Access to your data server</strong>: what it granted when you signed in, or for an app
        password, encrypted. Of app passwords themselves only a keyed hash. Given back when you sign out
        everywhere, or when nothing uses it any more.
      </li>
      <li>
        <strong>Devices</strong>: the name, when it was paired and last used and from which address, and a
        hash of its secret, until you revoke it. Pairings under way are forgotten after an hour.
      </li>
      <li><strong>Tokens of clients</strong>: hashes, for 90 days after their last use at most.</li>
      <li>
        <strong>Webhooks</strong>: their address and secret, encrypted, and what was delivered lately, until
        you delete them.
      </li>
      <li><strong>Uploads under way</strong>, until they are complete or given up.</li>
      <li><strong>Counters</strong>: how often a repository was pulled on a day; not by whom.</li>
      <li>
        <strong>Logs</strong>: what went wrong, with the accounts and holds it was about. Requests are not
        logged, unless the operator looks for a fault; then without addresses of people.
      </li>
    </ul>
    <p>
      Addresses of clients are also held in memory for a few minutes, to slow down those who guess passwords
      or ask too much.
    </p>`,
}

const elsewherePart = {
  id: 'elsewhere',
  title: 'What others keep',
  text: html`<p>
    Your account and records are with your data server. Layers are with the hold you push to, which also knows
    which of them are yours, counts pushes and pulls of repositories, and lists its crew in public. Both have
    operators of their own. When you pull, your client is sent on to the hold, which then sees its address.
    Webhooks send what they say to whom you named.
  </p>`,
}

const notPart = {
  id: 'not',
  title: 'What is not done',
  text: html`<p>
    No advertising, no analytics, nothing loaded from elsewhere by these pages, nothing sold. The only cookies
    are the one that keeps you signed in, and one for the minutes in which you sign in.
  </p>`,
}

const choicesPart = (host: string, operator: string, jurisdiction: string | undefined) => ({
  id: 'choices',
  title: 'What you can do',
  text: html`<p>
      <a href="/settings/data">Export or delete</a> all of the above yourself, here and in the holds, at any
      time. <a href="/settings">Your settings</a> show it piece by piece. For everything else, turn to
      ${operator}.
    </p>
    ${
      jurisdiction !== undefined &&
      html`<p>${host} is run under the law of ${jurisdiction}; what rights it gives you, you have here.</p>`
    }`,
})

/** The operator's own text, which says its headings itself. */
export function ownLegalPage(shell: Shell, title: string, text: Html): Html {
  return layout(shell, {
    title,
    main: html`
      <header class="page-header"><h1>${title}</h1></header>
      <article class="markdown reading">${text}</article>
    `,
  })
}

function legalPage(
  shell: Shell,
  page: { title: string; lead: Html; parts: readonly { id: string; title: string; text: Html }[] },
): Html {
  return layout(shell, {
    title: page.title,
    main: html`
      <header class="page-header">
        <h1>${page.title}</h1>
        <p class="lead">${page.lead}</p>
      </header>
      ${page.parts.map(
        ({ id, text, title }) =>
          html`<section class="reading" aria-labelledby="${id}">
            <h2 id="${id}">${title}</h2>
            ${text}
          </section>`,
      )}
    `,
  })
}
