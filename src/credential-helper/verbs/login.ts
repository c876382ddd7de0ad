import { hostname } from 'node:os'

import { sleep, systemNow } from '../../lib/clock.ts'
import type { DeviceCodeAnswer } from '../../protocol/device/messages.ts'
import { hasScreen, openBrowser } from '../browser.ts'
import { logInByDevice } from '../device-login.ts'
import { configureDocker, DockerConfigError, dockerConfigPath } from '../docker-config.ts'
import { storeAccount } from '../docker-store.ts'
import { networkFetch } from '../network.ts'
import { RegistryClient } from '../registry-client.ts'
import type { Surroundings } from '../surroundings.ts'
import type { Words } from '../verbs.ts'
import { whichRegistry } from './which-registry.ts'

const interruptedExitCode = 130

/** Signs this machine in: a code, a browser, a secret that is kept. */
export async function login({ options, operand }: Words, surroundings: Surroundings): Promise<number> {
  const registry = whichRegistry(operand, 'login', surroundings)
  const client = new RegistryClient(networkFetch(), registry)
  const name = typeof options['name'] === 'string' ? options['name'] : hostname()
  process.once('SIGINT', () => {
    surroundings.warn('\nnot signed in: nothing was stored')
    process.exit(interruptedExitCode)
  })
  const { device_secret, handle, did } = await logInByDevice(name, {
    client,
    now: systemNow,
    wait: sleep,
    show: (grant) => showCode(grant, registry.host, options['no-browser'] === true, surroundings),
  })
  storeAccount(registry, { name: handle, did }, device_secret, surroundings)
  process.stdout.write(`Signed in to ${registry.host} as ${handle}.\n`)
  if (options['no-configure'] !== true) tellDocker(registry.host, surroundings)
  return 0
}

function showCode(
  { user_code, verification_uri, verification_uri_complete }: DeviceCodeAnswer,
  host: string,
  isWithoutBrowser: boolean,
  { platform, environment }: Surroundings,
): void {
  const opens = !isWithoutBrowser && hasScreen(platform, environment)
  const lines = [
    opens ? 'Your browser opens. Should it not, go to:' : 'On any device, go to:',
    `  ${opens ? verification_uri_complete : verification_uri}`,
    `and approve this machine if it shows the code  ${user_code}`,
    `Waiting for ${host} … (Ctrl-C to give up)`,
  ]
  if (!opens) lines.splice(2, 1, `and enter the code  ${user_code}`, `or open  ${verification_uri_complete}`)
  process.stdout.write(`${lines.join('\n')}\n`)
  if (opens)
    openBrowser(platform, verification_uri_complete, () => process.stdout.write('No browser was found.\n'))
}

function tellDocker(host: string, { environment, home, warn }: Surroundings): void {
  const path = dockerConfigPath(environment, home)
  try {
    const { isChanged, helper } = configureDocker(path, host)
    if (isChanged) process.stdout.write(`docker asks this program for ${host} from now on (${path}).\n`)
    if (helper !== undefined) warn(`docker asks docker-credential-${helper} for ${host}, not this program: see credHelpers in ${path}`) // prettier-ignore
  } catch (error) {
    if (!(error instanceof DockerConfigError)) throw error
    warn(`docker does not know of it yet: ${error.message}`)
  }
}
