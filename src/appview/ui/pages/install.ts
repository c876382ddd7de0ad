import { html, type Html } from '../../../http/html.ts'
import { layout, type Shell } from './layout.ts'
import { command } from './parts.ts'

export interface InstallView {
  /** The registry's public address, without a slash at the end. */
  baseUrl: string
  /** What image names begin with. */
  host: string
}

/** How to get the credential helper onto a machine, and what to do then. */
export function installPage(shell: Shell, { baseUrl, host }: InstallView): Html {
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
      <section aria-labelledby="get">
        <h2 id="get">Get the helper</h2>
        <dl class="pulls wide">
          ${downloads(baseUrl).map(
            ({ system, text }) =>
              html`<div>
                <dt>${system}</dt>
                <dd>${command(text, `Copy the command for ${system}`)}</dd>
              </div>`,
          )}
        </dl>
        <p class="note">
          To read before you run: <a href="/install.sh">install.sh</a>,
          <a href="/install.ps1">install.ps1</a>. They fetch one file, compare its checksum, and put it where
          your clients find it.
        </p>
      </section>
      <section aria-labelledby="then">
        <h2 id="then">Then, once</h2>
        <ol class="steps">
          ${steps(host).map(
            ({ text, line, label }) =>
              html`<li>
                <p>${text}</p>
                ${command(line, label)}
              </li>`,
          )}
        </ol>
      </section>
      <section class="panel stack" aria-labelledby="without">
        <h2 id="without">Without the helper</h2>
        <p>
          In CI, or on a machine where nothing can be installed,
          <a href="/settings/app-passwords">an app password</a> does: your handle is the user name.
        </p>
        ${command(`docker login ${host}`, 'Copy the login command')}
      </section>
    `,
  })
}

function downloads(baseUrl: string): { system: string; text: string }[] {
  return [
    { system: 'Linux, macOS', text: `curl -fsSL ${baseUrl}/install.sh | sh` },
    { system: 'Windows', text: `irm ${baseUrl}/install.ps1 | iex` },
  ]
}

function steps(host: string): { text: string; line: string; label: string }[] {
  return [
    {
      text: 'Pair this machine with your account. It opens a page here that asks you to confirm a code.',
      line: `docker-credential-atcr login ${host}`,
      label: 'Copy the command that pairs this machine',
    },
    {
      text: 'Tell docker to ask the helper about this registry.',
      line: 'docker-credential-atcr configure-docker',
      label: 'Copy the command that configures docker',
    },
    {
      text: 'Push.',
      line: `docker push ${host}/you.example/app:latest`,
      label: 'Copy the push command',
    },
  ]
}
