import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { mustRun } from '../../test/e2e/command.ts'
import { OciLayout } from '../../test/e2e/oci-layout.ts'
import { interleaved, memoryCell, resetPeaks, valueOf, type Bench } from './bench.ts'
import { cpuPerAmount, type Figure, type Sample } from './figures.ts'
import { forgetBlobs } from './image-transfers.ts'
import { perProcess, type Side } from './sides.ts'

const layerSizes = Array.from({ length: 8 }, () => 62.5 * 2 ** 20)
/** Gigabytes are copied in a round. */
const roundsMax = 3

/** B15: skopeo copies an image of 500 MiB in eight layers into the registry, and out of it. */
export async function benchRealClient(bench: Bench): Promise<Figure[]> {
  const sides = [bench.direct, bench.relay, bench.peerSide]
  const limited = { ...bench, rounds: Math.min(bench.rounds, roundsMax) }
  const folder = await mkdtemp(join(bench.programs.folder, 'skopeo-'))
  const [layoutFolder, pulledFolder] = [join(folder, 'layout'), join(folder, 'pulled')]
  const { alice } = bench.programs.network.accounts
  const login = (side: Side, end: 'src' | 'dest') =>
    side === bench.peerSide
      ? [`--${end}-no-creds`]
      : [`--${end}-creds`, `${alice.handle}:${alice.appPassword}`]
  const imageOf = (side: Side) => `docker://${new URL(side.url).host}/${side.repository('bench-skopeo')}:v`
  await resetPeaks(sides)
  const copiesIn = await interleaved(limited, sides, async (side) => {
    // Never the same bytes twice: a layer that is there already is not uploaded.
    const layout = await OciLayout.create(layoutFolder)
    await layout.addImage('v', layerSizes)
    const seconds = await copy(['--dest-tls-verify=false', ...login(side, 'dest'), `oci:${layout.path}:v`, imageOf(side)]) // prettier-ignore
    await rm(layoutFolder, { recursive: true })
    return seconds
  })
  const copiesOut = await interleaved(limited, sides, async (side) => {
    const seconds = await copy(['--src-tls-verify=false', ...login(side, 'src'), imageOf(side), `dir:${pulledFolder}`]) // prettier-ignore
    await rm(pulledFolder, { recursive: true })
    return seconds
  })
  const memory = new Map<Side, string>()
  for (const ours of [bench.direct, bench.relay]) memory.set(ours, await memoryCell(ours, bench.peerSide))
  await forgetBlobs(bench)
  return [bench.direct, bench.relay].flatMap((ours) =>
    [
      { way: 'into', samples: copiesIn },
      { way: 'out of', samples: copiesOut },
    ].map(({ way, samples }): Figure => {
      const work = `skopeo copies 500 MiB in 8 layers ${way} the registry, ${ours.name}`
      const [own, peer] = [valueOf(samples.get(ours)), valueOf(samples.get(bench.peerSide))]
      bench.say(`B15 ${work}: ${own.toFixed(2)} s, peer ${peer.toFixed(2)}`)
      const cpu = [ours, bench.peerSide].map((side) => cpuOf(side, samples)).join(' / ')
      return { benchmark: 'B15', work, unit: 's', ours: own, peer, cpu, memory: memory.get(ours), bar: '≤ 1.1 × peer', isMet: own <= 1.1 * peer } // prettier-ignore
    }),
  )
}

const cpuOf = (side: Side, samples: Map<Side, Sample[]>) =>
  perProcess(side, cpuPerAmount(samples.get(side) ?? [], 1), 2)

/** One copy, and what it took of wall time in seconds. */
async function copy(args: readonly string[]): Promise<{ value: number; amount: number }> {
  const startedAtMs = performance.now()
  await mustRun('skopeo', ['copy', '-q', '--preserve-digests', ...args])
  return { value: (performance.now() - startedAtMs) / 1000, amount: 1 }
}
