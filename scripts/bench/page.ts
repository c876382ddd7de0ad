import type { Figure } from './figures.ts'

export interface RunFacts {
  date: string
  machine: string
  versions: string
  rounds: number
  isQuick: boolean
  /** Why the table is not whole, or not to be believed. */
  caveats: readonly string[]
}

const titles: Record<string, string> = {
  B1: 'The base endpoint',
  B2: 'Manifests, warm',
  B3: 'Manifests, cold',
  B4: 'Blob HEAD',
  B5: 'Pushes',
  B6: 'Pulls',
  B7: 'Pulls and pushes at once',
  B8: 'Many layers',
  B15: 'A large image by a real client',
}

/** How many times as good as the peer; undefined where there is none to compare with. */
export function timesPeer({ ours, peer, unit }: Figure): number | undefined {
  if (peer === undefined) return undefined
  return unit === 's' || unit === 'ms' ? peer / ours : ours / peer
}

/** docs/BENCHMARKS.md, whole. */
export function benchmarksPage(figures: readonly Figure[], facts: RunFacts): string {
  const below = figures.filter((figure) => figure.isMet === false)
  const groups = [...new Set(figures.map(({ benchmark }) => benchmark))]
  return `# Benchmarks

Made by \`npm run bench\`; do not edit. ATCR beside Debian's docker-registry (CNCF Distribution) on the same machine in
the same run: the two take turns, ${facts.rounds} ${facts.rounds === 1 ? 'round' : 'rounds'} each, and the medians of the rounds stand in the table (p99 is the median
of each round's p99). Every program is a process of its own; CPU seconds and peak memory are the kernel's count.

- ${facts.date} · ${facts.machine}
- ${facts.versions}
- The peer runs with file storage, descriptors cached in memory, **no authentication** and no access log; ATCR checks
  a token with every request, keeps every manifest in the owner's PDS, and shares the machine with that PDS.
- *direct*: layers go straight to the hold, pulls are redirected there. *relay*: everything passes through the AppView.
- Load: wrk for GET of small things, skopeo for B15, a client of our own (\`scripts/bench/client.ts\`, a process of its own)
  for everything else. Every push is of bytes never seen before.
${facts.isQuick ? '- **A quick run: too short for its figures to mean anything.**\n' : ''}${facts.caveats.map((text) => `- **${text}**\n`).join('')}
![How many times the peer](benchmarks.svg)

${groups
  .map((group) =>
    section(
      group,
      figures.filter(({ benchmark }) => benchmark === group),
    ),
  )
  .join('\n')}
## Below the bar

${below.length === 0 ? 'Nothing.' : below.map(belowLine).join('\n')}
${reasons}${soak}`
}

/** Written by hand: reasons do not come out of a measurement. Mend them when the figures change. */
const reasons = `
## Why

What the profiles of these runs say, for whoever takes up the next one:

- **Small pushes (B5 at 1 and 10 MiB, B7, B8).** Every image costs two calls to its owner's PDS, which shares the machine here and is the reference
  implementation: the rows *the PDS alone* say how many images a second it takes when nobody asks for anything else, and no push can be faster. One at a time that
  is half of what the peer does, eight at once a little more than it does: at 1 MiB twice the peer cannot be had with this PDS on the machine. The peer has
  no PDS, keeps no rows and asks nobody who may push. What we flush, and why each flush that is left has to be there, is in
  [decision 43](adr/0043-what-a-push-costs.md): commits that come together share one, beside the program's work. What is left of AppView and hold is CPU:
  180 statements and seven requests among the programs for an image, half of it behind the answer (layer records, search, our own events coming back).
- **Large pushes, direct (B5 at 100 MiB).** The bytes cross one hop, are hashed on the way and written once. What came off sockets is freed as soon as
  the disk has it: V8 used to collect its whole heap for every 64 MB. What is left is the kernel's copy to its page cache, SHA-256 and \`fsync\`.
- **Relay (B5).** The bytes cross two hops and are hashed at both. Parts lie one behind the other in one file of the hold and are not written again
  ([decision 40](adr/0040-bytes-are-touched-once.md)); of parts that came side by side the digest is made from the page cache.
- **Streamed pulls (B6).** Redirects are the default; where they are off, every byte is received and sent once more, in pieces of 64 KiB, which is what
  Node reads from a socket at a time, and gives to its HTTP parser. Nothing is hashed on the way: clients do that. A socket that is read without the parser, in
  pieces of 256 KiB, took 0.45 CPU-s/GiB where this takes 1.05, on plain HTTP; through the parser the larger pieces are worth a fifth.
  A client for HTTP of our own would be the way, and not to the bar: with the hold's half a second it would still be more CPU than the peer takes for all of it.
- **Cold manifests (B3).** The last two rows are the floor: the same calls, made by a client that does nothing with the answers. The PDS's own time, and its share of two cores,
  is in it. The first image of an owner also looks up his handle, which here is a third round trip to the PDS, and his DID document. The first of all also waits for what a
  program does once: Node loads its HTTP client, and the code has never run.
`

/** What does not fit into the run. */
const soak = `
## B18 Half an hour of it

\`node scripts/bench/soak.ts --minutes 30\` does the work of B7 for that long, looks at memory, threads, open files and databases every ten seconds, and
ends with a table: how much each grows by the hour, by a straight line through the second half. It fails when memory or handles grow.
On 2026-11-23, with other work on the machine, 34,454 images in 30 minutes: the AppView's memory stood at 311–320 MiB from the tenth minute on, the hold's went up and
down between 290 and 390 MiB, open files at 114–131 and 61–102.
`

function section(group: string, figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const times = timesPeer(figure)
    const cells = [
      figure.work,
      amount(figure.ours, figure.unit),
      figure.peer === undefined ? '–' : amount(figure.peer, figure.unit),
      times === undefined ? '–' : `${times.toFixed(2)} ×`,
      figure.bar,
      figure.isMet === undefined ? '–' : figure.isMet ? 'yes' : '**no**',
      p99Cell(figure),
      figure.cpu ?? '–',
      figure.memory ?? '–',
    ]
    return `| ${cells.join(' | ')} |`
  })
  return `## ${group} ${titles[group] ?? ''}

| work | ATCR | peer | times | bar | met | p99 ms, ATCR / peer | CPU s, ATCR / peer | peak MiB, ATCR / peer |
| --- | ---: | ---: | ---: | --- | --- | --- | --- | --- |
${rows.join('\n')}
`
}

function belowLine(figure: Figure): string {
  const times = timesPeer(figure)
  const against = times === undefined ? '' : ` (${times.toFixed(2)} × the peer)`
  return `- ${figure.benchmark} ${figure.work}: ${amount(figure.ours, figure.unit)}${against}; bar ${figure.bar}`
}

function p99Cell({ oursP99Ms, peerP99Ms }: Figure): string {
  if (oursP99Ms === undefined || Number.isNaN(oursP99Ms)) return '–'
  const own = oursP99Ms.toFixed(1)
  return peerP99Ms === undefined || Number.isNaN(peerP99Ms) ? own : `${own} / ${peerP99Ms.toFixed(1)}`
}

export function amount(value: number, unit: Figure['unit']): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  const text = Number(value.toFixed(digits)).toLocaleString('en')
  return unit === 'ratio' ? `${text} ×` : `${text} ${unit}`
}

/** The same for the terminal: one line a figure, the bar beside it. */
export function terminalTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const times = timesPeer(figure)
    return [
      figure.benchmark,
      figure.work,
      amount(figure.ours, figure.unit),
      figure.peer === undefined ? '–' : amount(figure.peer, figure.unit),
      times === undefined ? '–' : `${times.toFixed(2)} ×`,
      p99Cell(figure),
      figure.cpu ?? '–',
      figure.bar,
      figure.isMet === undefined ? '' : figure.isMet ? 'met' : 'BELOW',
    ]
  })
  const head = ['', 'work', 'ATCR', 'peer', 'times', 'p99 ms', 'CPU s', 'bar', '']
  const widths = head.map((text, column) =>
    Math.max(text.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
