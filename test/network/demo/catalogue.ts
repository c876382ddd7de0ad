import type { ArtifactRecipe } from './artifacts.ts'
import type { RecipeName } from './recipes.ts'

/** A repository of the demo, in one line. */
export interface DemoRepository {
  /** Name of one of the demo's people. */
  owner: string
  name: string
  about: string
  recipe: RecipeName | ArtifactRecipe
  /** In the order they were pushed, over the days from `days[0]` to `days[1]` before now. */
  versions: readonly string[]
  days: readonly [first: number, last: number]
  /** How often it is pulled, beside others. */
  pulls: number
  /** Several make an index. */
  platforms?: readonly string[]
  /** As BuildKit does: provenance and SBOM in the index. */
  isAttested?: boolean
  /** What points at the newest version. */
  referrers?: readonly ('signature' | 'spdx' | 'cyclonedx')[]
  /** `file`: Markdown of its own, in readmes/; `short`: what can be said in two lines; else no page at all. */
  page?: 'file' | 'short'
  /** Tags beside the version: those that move along. */
  moving?: 'latest' | 'semver' | 'none'
  /** A picture on its page. */
  hasAvatar?: boolean
}

const desk = ['linux/amd64', 'linux/arm64/v8']
const many = ['linux/amd64', 'linux/arm64/v8', 'linux/riscv64']
const signed = ['signature', 'spdx'] as const

export const catalogue: readonly DemoRepository[] = [
  { owner: 'alice', name: 'tide', recipe: 'go', versions: ['1.2.0', '1.2.1', '1.3.0', '1.4.0', '1.4.1', '2.0.0-rc.1', '2.0.0'], days: [118, 0.06], pulls: 90, platforms: desk, isAttested: true, referrers: ['signature', 'spdx', 'cyclonedx'], page: 'file', moving: 'semver', hasAvatar: true, about: 'Tide tables for any harbour, as JSON, from a database that fits in a teacup.' },
  { owner: 'alice', name: 'beacon', recipe: 'node', versions: ['0.8.0', '0.9.0', '0.9.1', '1.0.0'], days: [96, 2.2], pulls: 34, page: 'file', moving: 'latest', about: 'A status page that stays up when everything else goes down.' },
  { owner: 'alice', name: 'charts/tide', recipe: 'chart', versions: ['0.1.0', '0.2.0', '1.0.0'], days: [90, 0.3], pulls: 21, page: 'short', moving: 'none', about: 'Helm chart for tide, with two replicas and one opinion.' },
  { owner: 'alice', name: 'postbox', recipe: 'python', versions: ['2026.8', '2026.9', '2026.10'], days: [80, 12], pulls: 12, page: 'short', moving: 'latest', about: 'Receives mail, files it, never answers.' },
  { owner: 'alice', name: 'playground', recipe: 'shell', versions: ['try', 'try-again', 'really', 'ok-fine'], days: [60, 59], pulls: 2, moving: 'none', about: 'Do not use. Used by everyone.' },
  { owner: 'bob', name: 'cron-but-later', recipe: 'rust', versions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1'], days: [110, 5], pulls: 40, platforms: desk, referrers: signed, page: 'file', moving: 'latest', about: 'A scheduler that runs your job when the machine feels ready.' },
  { owner: 'bob', name: 'queue', recipe: 'go', versions: ['3.0.0', '3.1.0', '3.1.1'], days: [70, 0.9], pulls: 55, page: 'short', moving: 'semver', about: 'First in, first out, second thoughts welcome.' },
  { owner: 'bob', name: 'worker', recipe: 'python', versions: ['1.0', '1.1'], days: [66, 20], pulls: 9, moving: 'latest', about: 'Takes from the queue. Gives nothing back.' },
  { owner: 'bob', name: 'team/backend/services/authentication-and-authorisation-gateway', recipe: 'go', versions: ['sha-6c1f0f2b8a6b4b0f9f5c2f7d1e3a4b5c6d7e8f90', 'sha-b1946ac92492d2347c6235b4d2611184f3a1c5d7'], days: [44, 8], pulls: 3, moving: 'none', about: 'Named by a committee. It checks passwords.' },
  { owner: 'mira', name: 'base', recipe: 'base', versions: ['2.9.0', '3.0.0', '3.0.1', '3.1.0'], days: [120, 1.4], pulls: 140, platforms: many, isAttested: true, referrers: signed, page: 'file', moving: 'semver', hasAvatar: true, about: 'Nine hundred kilobytes of nothing in particular. Start here.' },
  { owner: 'mira', name: 'base-node', recipe: 'node', versions: ['24.14.0', '24.16.1', '26.1.0'], days: [100, 1.3], pulls: 75, platforms: desk, referrers: signed, page: 'short', moving: 'latest', about: 'The base, and Node.js, and no shell to be sorry about.' },
  { owner: 'mira', name: 'base-python', recipe: 'python', versions: ['3.13.4', '3.14.0'], days: [98, 1.2], pulls: 61, platforms: desk, page: 'short', moving: 'latest', about: 'The base, and Python, indented correctly.' },
  { owner: 'mira', name: 'busyboat', recipe: 'shell', versions: ['1.36', '1.37'], days: [85, 30], pulls: 18, page: 'short', moving: 'latest', about: 'Three hundred commands in one hull.' },
  { owner: 'tomasz', name: 'snapshotd', recipe: 'go', versions: ['4.0.0', '4.1.0', '4.1.1', '4.2.0'], days: [105, 3.5], pulls: 47, platforms: desk, referrers: signed, page: 'file', moving: 'semver', about: 'Takes a snapshot every hour and proves it every night.' },
  { owner: 'tomasz', name: 'restore-drill', recipe: 'python', versions: ['0.4.0', '0.5.0'], days: [75, 14], pulls: 8, page: 'short', moving: 'latest', about: 'Deletes something on purpose, then asks for it back.' },
  { owner: 'tomasz', name: 'charts/snapshotd', recipe: 'chart', versions: ['2.0.0', '2.1.0'], days: [72, 3.4], pulls: 14, moving: 'none', about: 'Helm chart for snapshotd. Back up your values file.' },
  { owner: 'yuki', name: 'filters/grayscale', recipe: 'wasm', versions: ['0.1.0', '0.2.0', '1.0.0'], days: [88, 6], pulls: 16, referrers: ['signature'], page: 'file', moving: 'latest', about: 'Takes the colour out of a picture, in 46 kilobytes.' },
  { owner: 'yuki', name: 'filters/vignette', recipe: 'wasm', versions: ['0.9.0', '1.0.0'], days: [50, 4], pulls: 7, moving: 'latest', about: 'Makes any photo look like a memory.' },
  { owner: 'yuki', name: 'wasm-runner', recipe: 'rust', versions: ['0.5.0', '0.6.0', '0.6.1'], days: [77, 2.8], pulls: 23, platforms: desk, page: 'short', moving: 'latest', about: 'Runs modules with nothing mounted and no network, politely.' },
  { owner: 'priya', name: 'models/whale-song', recipe: 'model', versions: ['v1-q4', 'v2-q4', 'v2-q8'], days: [83, 0.15], pulls: 38, page: 'file', moving: 'latest', hasAvatar: true, about: 'Tells humpback from engine. Four million parameters, most of them water.' },
  { owner: 'priya', name: 'models/tiny-translator', recipe: 'model', versions: ['en-pt-1', 'en-pt-2'], days: [61, 16], pulls: 19, page: 'short', moving: 'none', about: 'Portuguese menus into English, including the fish.' },
  { owner: 'priya', name: 'notebook', recipe: 'python', versions: ['2026.09', '2026.11'], days: [58, 7], pulls: 11, moving: 'latest', about: 'A notebook server with the charts already broken in.' },
  { owner: 'priya', name: 'datasets/harbour-sounds', recipe: 'dataset', versions: ['2026-spring'], days: [57, 57], pulls: 6, page: 'short', moving: 'none', about: 'Forty hours of fog horns, labelled by mood.' },
  { owner: 'noor', name: 'charts/lighthouse', recipe: 'chart', versions: ['5.0.0', '5.1.0', '5.2.0', '6.0.0'], days: [92, 0.5], pulls: 44, referrers: ['signature'], page: 'file', moving: 'none', about: 'A lamp, a lens and an ingress.' },
  { owner: 'noor', name: 'charts/ingress-of-last-resort', recipe: 'chart', versions: ['1.0.0', '1.0.1'], days: [53, 25], pulls: 10, page: 'short', moving: 'none', about: 'When all other ingresses have been tried.' },
  { owner: 'noor', name: 'manifests/cluster', recipe: 'flux', versions: ['2026-10-01', '2026-11-01', '2026-11-15'], days: [52, 8], pulls: 27, moving: 'latest', about: 'What the cluster should look like. It never does.' },
  { owner: 'noor', name: 'kubectl-sandwich', recipe: 'go', versions: ['0.2.0', '0.3.0'], days: [49, 10], pulls: 13, page: 'short', moving: 'latest', about: 'A kubectl plugin that asks whether you have eaten.' },
  { owner: 'oskar', name: 'metrics-lite', recipe: 'go', versions: ['1.8.0', '1.9.0', '1.9.1', '1.10.0'], days: [94, 0.7], pulls: 66, platforms: desk, referrers: ['cyclonedx'], page: 'file', moving: 'semver', about: 'Twelve metrics. You were only ever going to look at twelve.' },
  { owner: 'oskar', name: 'logtail', recipe: 'rust', versions: ['0.7.0', '0.8.0'], days: [68, 9], pulls: 25, page: 'short', moving: 'latest', about: 'Follows logs at a respectful distance.' },
  { owner: 'oskar', name: 'dash', recipe: 'node', versions: ['10.0', '10.1', '11.0'], days: [64, 1.8], pulls: 31, page: 'short', moving: 'latest', about: 'Dashboards with exactly one red square.' },
  { owner: 'oskar', name: 'charts/metrics-lite', recipe: 'chart', versions: ['1.10.0'], days: [0.65, 0.65], pulls: 5, moving: 'none', about: 'Helm chart for metrics-lite.' },
  { owner: 'ines', name: 'sudoku', recipe: 'node', versions: ['1.0.0', '1.1.0', '1.2.0'], days: [71, 0.02], pulls: 29, page: 'file', moving: 'latest', hasAvatar: true, about: 'Puzzles that take as long as your build.' },
  { owner: 'ines', name: 'radio', recipe: 'go', versions: ['0.3.0', '0.4.0'], days: [48, 11], pulls: 8, page: 'short', moving: 'latest', about: 'Streams waves. The wet kind.' },
  { owner: 'ines', name: 'chess-clock', recipe: 'static', versions: ['2', '3'], days: [46, 19], pulls: 4, moving: 'latest', about: 'Two buttons, one of them yours.' },
  { owner: 'wren', name: 'sbom-diff', recipe: 'go', versions: ['0.1.0', '0.2.0', '0.2.1', '0.3.0'], days: [86, 2.5], pulls: 33, platforms: desk, isAttested: true, referrers: ['signature', 'spdx', 'cyclonedx'], page: 'file', moving: 'latest', about: 'Says what changed between two bills of materials, and whether to worry.' },
  { owner: 'wren', name: 'policies', recipe: 'policies', versions: ['11', '12', '13'], days: [63, 5.5], pulls: 22, referrers: ['signature'], page: 'short', moving: 'latest', about: 'Rules for what may run. The default is no.' },
  { owner: 'wren', name: 'keyring', recipe: 'keys', versions: ['2026'], days: [62, 62], pulls: 15, moving: 'latest', about: 'Public keys, publicly kept.' },
  { owner: 'harbour', name: 'cli', recipe: 'go', versions: ['7.2.0', '7.3.0', '7.3.1', '7.4.0', '8.0.0'], days: [115, 0.4], pulls: 110, platforms: many, isAttested: true, referrers: signed, page: 'file', moving: 'semver', hasAvatar: true, about: 'One command for moorings, pilots and invoices.' },
  { owner: 'harbour', name: 'devcontainer/cli', recipe: 'feature', versions: ['1.0.0', '1.1.0'], days: [56, 0.38], pulls: 17, page: 'short', moving: 'latest', about: 'The harbour command in any dev container.' },
  { owner: 'harbour', name: 'docs', recipe: 'static', versions: ['2026.10', '2026.11'], days: [51, 0.37], pulls: 20, page: 'short', moving: 'latest', about: 'The manual, as a web server.' },
  { owner: 'ledger', name: 'invoices', recipe: 'python', versions: ['41', '42', '43'], days: [74, 1.1], pulls: 5, page: 'short', moving: 'latest', about: 'Writes invoices, and reminders of invoices.' },
  { owner: 'ledger', name: 'fx-rates', recipe: 'go', versions: ['1.0', '1.1'], days: [55, 13], pulls: 4, moving: 'latest', about: 'Yesterday’s exchange rates, tomorrow.' },
] // prettier-ignore
