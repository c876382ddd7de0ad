import { html, type Html } from '../../../http/html.ts'
import type { HomeView } from '../views/home.ts'
import type { RegistryAddress } from '../views/pull-commands.ts'
import { exampleOwner, layout, type Shell } from './layout.ts'
import { command, repositoryList } from './parts.ts'

const sentenceOf = (name: string) =>
  `${name} is a container registry where your images are yours: manifests are records in your own AT Protocol data repo, layers rest in a hold that anyone can run.`

export function homePage(shell: Shell, view: HomeView & { registry: RegistryAddress }): Html {
  const sentence = sentenceOf(shell.assets.brand.name)
  return layout(shell, {
    title: '',
    description: sentence,
    card: '/card.png',
    main: html`
      <section class="hero">
        <h1>Container images, in your own&nbsp;name</h1>
        <p class="lead">${sentence}</p>
      </section>
      <div class="split">
        <div class="stack">${view.featured.length > 0 && featured(view)} ${recent(view)}</div>
        <section class="panel" aria-labelledby="push">
          <h2 id="push">Push an image</h2>
          <ol class="steps">
            ${pushSteps(view.registry, exampleOwner(shell)).map(
              ({ text, line, label }) =>
                html`<li>
                  <p>${text}</p>
                  ${command(line, label)}
                </li>`,
            )}
          </ol>
          <p class="note">podman, skopeo, buildah and containerd work the same way.</p>
        </section>
      </div>
      <script type="module" src="${shell.assets.path('live.js')}"></script>
    `,
  })
}

const featured = ({ featured: entries, now }: HomeView): Html =>
  html`<section aria-labelledby="featured">
    <h2 id="featured">Well known</h2>
    ${repositoryList(entries, { now, isOwnerShown: true })}
  </section>`

/** `live.js` puts new pushes on top; who comes back to the page is told what was pushed after the first one. */
function recent({ now, recent: entries }: HomeView): Html {
  const after = (entries[0]?.updatedAt ?? now).toISOString()
  return html`<section aria-labelledby="recent">
    <div class="section-head">
      <h2 id="recent">Recent pushes</h2>
      <button class="plain" type="button" data-live-pause aria-pressed="false" hidden>Pause</button>
    </div>
    <div class="live" data-live="/events/pushes" data-after="${after}">
      ${entries.length === 0 ? nothingYet : repositoryList(entries, { now, isOwnerShown: true })}
    </div>
    <p id="live-status" class="visually-hidden" role="status"></p>
  </section>`
}

const nothingYet = html`<p class="empty">Nothing has been pushed yet. The first image could be yours.</p>`

function pushSteps({ host }: RegistryAddress, owner: string): { text: Html; line: string; label: string }[] {
  const image = `${host}/${owner}/app:latest`
  return [
    {
      text: html`Sign in with your handle and an <strong>app password</strong>, or once and for all with
        <a href="/install">the credential helper</a>.`,
      line: `docker login ${host} -u ${owner}`,
      label: 'Copy the login command',
    },
    {
      text: html`Name the image after your handle.`,
      line: `docker tag app ${image}`,
      label: 'Copy the tag command',
    },
    {
      text: html`Push. Whoever may read in your hold can pull it by the same name.`,
      line: `docker push ${image}`,
      label: 'Copy the push command',
    },
  ]
}
