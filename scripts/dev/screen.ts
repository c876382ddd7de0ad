import type { Account } from '../../test/network/accounts.ts'
import type { TestNetwork } from '../../test/network/test-network.ts'
import { sampleRepository } from './proof-of-life.ts'

const hasColour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
const style = (code: number) => (text: string) => (hasColour ? `\u001B[${code}m${text}\u001B[0m` : text)
const bold = style(1)
const dim = style(2)
const green = style(32)
const cyan = style(36)

export const print = (text: string) => process.stdout.write(`${text}\n`)

/** Prints a line for each step, with the time it took. */
export function startProgress(): (step: string, detail: string) => void {
  let lastMs = Date.now()
  print('Starting the network of ATCR on this machine')
  return (step, detail) => {
    const nowMs = Date.now()
    const took = `${((nowMs - lastMs) / 1000).toFixed(1)} s`
    lastMs = nowMs
    print(`${green('✔')} ${step.padEnd(16)}${detail.padEnd(56)}${dim(took)}`)
  }
}

/** Everything a person needs to go on: where things are, who is who, and what to type. */
export function readyText(
  network: TestNetwork,
  options: { hasSample: boolean; folder: string; accounts: readonly Account[] },
): string {
  const { appview, hold, pds, plc, jetstream, s3 } = network
  const registry = new URL(appview.url).host
  const { handle, appPassword } = network.accounts.alice
  const creds = `${handle}:${appPassword}`
  const row = (name: string, text: string) => `  ${name.padEnd(16)}${text}`
  const people = options.accounts.map(
    (it) =>
      `  ${it.handle.padEnd(16)}${it.did}\n  ${''.padEnd(16)}password ${bold(it.password)}   app password ${bold(it.appPassword)}`,
  )
  const source = options.hasSample ? [
    dim('# copy the sample image'),
    `skopeo copy --src-tls-verify=false --dest-tls-verify=false --dest-creds ${creds} docker://${registry}/${sampleRepository}:latest docker://${registry}/${handle}/copy:v1`,
    '',
  ] : [] // prettier-ignore
  const commands = [
    ...source,
    dim('# build an image, push it, pull it'),
    `printf 'FROM scratch\\nCOPY README.md /\\n' | podman build -t ${registry}/${handle}/readme -f - .`,
    `podman push --tls-verify=false --creds ${creds} ${registry}/${handle}/readme`,
    `podman pull --tls-verify=false ${registry}/${handle}/readme`,
    '',
    dim('# or sign this machine in once, with your browser, and push without a password'),
    `npm run build:helper && curl -fsSL ${appview.url}/install.sh | sh`,
    `docker-credential-atcr login ${registry}`,
    '',
    dim("# the manifests, as signed records in alice's PDS; the layers, as the hold knows them"),
    `curl '${pds.url}/xrpc/com.atproto.repo.listRecords?repo=${handle}&collection=io.atcr.manifest'`,
    `curl '${hold.url}/xrpc/com.atproto.repo.listRecords?repo=${encodeURIComponent(hold.did)}&collection=io.atcr.hold.layer'`,
  ]
  return [
    '',
    bold(`ATCR is running: ${cyan(appview.url)}`),
    '',
    row('registry', registry),
    ...(options.hasSample ? [row('sample', `${appview.url}/r/${sampleRepository}`)] : []),
    row('your account', `${appview.url}/settings   sign in as ${handle}`),
    row('hold', `${hold.url}   ${hold.did}`),
    row('hold, admin', `${hold.url}/admin   as ${handle}, its captain`),
    row('PDS', pds.url),
    row('DID directory', plc.url),
    row('event stream', `${jetstream.url}/subscribe`),
    ...(s3 === undefined ? [] : [row('S3 stand-in', s3.url)]),
    row('data', options.folder),
    '',
    bold('Accounts'),
    ...people,
    '',
    bold('To paste into another terminal'),
    '',
    ...commands.map((line) => `  ${line}`.trimEnd()),
    '',
    dim('Ctrl-C stops it; the data stay for the next start.'),
    '',
  ].join('\n')
}
