import { html, type Html } from '../../../http/html.ts'
import type { InstallView } from '../views/install.ts'
import { exampleOwner, layout, type Shell } from './layout.ts'
import { command, copyButton } from './parts.ts'

/** How to get the credential helper onto a machine, and what to do then. */
export function installPage(shell: Shell, view: InstallView): Html {
  const { commands, files, host } = view
  return layout(shell, {
    title: 'Install',
    description: `The credential helper signs docker, podman and others in at ${host}.`,
    main: html`
      <header class="page-header">
        <h1>Push in your own&nbsp;name</h1>
        <p class="lead">
          The credential helper signs docker, podman and others in for you. You approve a machine once, in
          your browser; after that every push and pull just works.
        </p>
      </header>
      ${commands.length === 0 ? nothingOffered : html`${getSection(commands)} ${thenSection(host, exampleOwner(shell))}`}
      <section class="panel stack fill" aria-labelledby="without">
        <h2 id="without">Without the helper</h2>
        <p>
          In CI, or on a machine where nothing can be installed,
          <a href="/settings/app-passwords">an app password</a> does: your handle is the user name.
        </p>
        ${command(`docker login ${host}`, 'Copy the login command')}
      </section>
      ${files.length > 0 && filesSection(files)}
    `,
  })
}

const nothingOffered = html`<section aria-label="Builds">
  <p class="empty">
    This registry offers no builds of the helper. Ask who runs it, or build it from the sources of ATCR with
    <code>npm run build:helper</code>.
  </p>
</section>`

function getSection(commands: InstallView['commands']): Html {
  return html`<section aria-labelledby="get">
    <h2 id="get">Get the helper</h2>
    <dl class="pulls wide">
      ${commands.map(
        ({ system, text }) =>
          html`<div>
            <dt>${system}</dt>
            <dd>${command(text, `Copy the command for ${system}`)}</dd>
          </div>`,
      )}
    </dl>
    <p class="note">
      To read before you run: <a href="/install.sh">install.sh</a>, <a href="/install.ps1">install.ps1</a>.
      They fetch one file, compare its checksum, and put it where your clients find it. No administrator is
      needed.
    </p>
  </section>`
}

function thenSection(host: string, owner: string): Html {
  return html`<section aria-labelledby="then">
    <h2 id="then">Then, once</h2>
    <ol class="steps">
      <li>
        <p>Sign this machine in. It shows a code, and opens a page here that asks you for it.</p>
        ${command(`docker-credential-atcr login ${host}`, 'Copy the command that signs this machine in')}
      </li>
      <li>
        <p>Push. docker, podman, buildah, skopeo and nerdctl ask the helper from now on.</p>
        ${command(`docker push ${host}/${owner}/app:latest`, 'Copy the push command')}
      </li>
    </ol>
  </section>`
}

function filesSection(files: InstallView['files']): Html {
  return html`<section aria-labelledby="files">
    <h2 id="files">By hand</h2>
    <ul class="entries">
      ${files.map(
        ({ name, path, sha256, system }) =>
          html`<li>
            <h3><a href="${path}" download>${system}</a></h3>
            <p class="facts">
              <span>sha256</span>
              <span class="did"
                ><code>${sha256}</code>${copyButton(sha256, `Copy the checksum of ${name}`)}</span
              >
            </p>
          </li>`,
      )}
    </ul>
    <p class="note">
      Unpack with <code>gunzip</code>, make it executable, and put it into a folder of your
      <code>PATH</code> as <code>docker-credential-atcr</code>.
    </p>
  </section>`
}
