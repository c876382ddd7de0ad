import { spawn } from 'node:child_process'

type Environment = Record<string, string | undefined>

/** Whether there is a screen that a browser could be seen on. */
export function hasScreen(platform: NodeJS.Platform, environment: Environment): boolean {
  if (platform === 'darwin' || platform === 'win32') return environment['SSH_CONNECTION'] === undefined
  return (environment['DISPLAY'] ?? environment['WAYLAND_DISPLAY'] ?? '') !== ''
}

/** Opens a page in the person's browser, and does not wait for it. `onFailure` is told when there is none. */
export function openBrowser(platform: NodeJS.Platform, url: string, onFailure: () => void): void {
  const [program, ...words] = browserCommand(platform, url)
  // Without a shell: the address came from the network.
  const browser = spawn(program, words, { stdio: 'ignore', detached: true })
  browser.once('error', onFailure)
  browser.unref()
}

/** What opens a page on a system. `start` of Windows is its shell's, so what that calls is called. */
export function browserCommand(platform: NodeJS.Platform, url: string): [string, ...string[]] {
  if (platform === 'darwin') return ['open', url]
  if (platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler', url]
  return ['xdg-open', url]
}
