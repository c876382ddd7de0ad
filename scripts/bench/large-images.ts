/**
 * `node scripts/bench/large-images.ts`: pushes and pulls images of one layer by skopeo, direct and relayed, and prints
 * wall time with the peak memory of AppView and hold, which must not grow with the layer.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { mustRun } from '../../test/e2e/command.ts'
import { OciLayout } from '../../test/e2e/oci-layout.ts'
import { Programs } from './programs.ts'

const sizesMebibytes = [100, 500]
const rounds = 3
const folder = await mkdtemp(join(tmpdir(), 'atcr-bench-images-'))
const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

console.log(
  '| upload | layer MiB | push s | pull s | AppView peak MiB | hold peak MiB | AppView CPU s | hold CPU s |',
)
console.log('|---|---|---|---|---|---|---|---|')
try {
  for (const uploadMode of ['direct', 'relay'] as const) {
    await using programs = await Programs.start({ uploadMode })
    const { alice } = programs.network.accounts
    for (const size of sizesMebibytes) {
      const pushes: number[] = []
      const pulls: number[] = []
      await programs.appview.resetPeak()
      await programs.hold.resetPeak()
      const cpuBefore = [await programs.appview.cpuSeconds(), await programs.hold.cpuSeconds()] as const
      for (let round = 0; round < rounds; round++) {
        // A repository of its own each round, so that no layer is there already; DELETE would leave the bytes in the hold.
        const fresh = await OciLayout.create(join(folder, `fresh-${uploadMode}-${size}-${round}`))
        await fresh.addImage('v', [size * 2 ** 20])
        const image = `docker://${programs.registry}/alice.test/bench-${size}-${round}:v`
        pushes.push(await timed('skopeo', ['copy', '-q', '--preserve-digests', '--dest-tls-verify=false', '--dest-creds', `${alice.handle}:${alice.appPassword}`, `oci:${fresh.path}:v`, image])) // prettier-ignore
        pulls.push(await timed('skopeo', ['copy', '-q', '--preserve-digests', '--src-no-creds', '--src-tls-verify=false', image, `dir:${join(folder, 'pulled')}`])) // prettier-ignore
        await rm(join(folder, 'pulled'), { recursive: true })
        await rm(fresh.path, { recursive: true })
      }
      const row = [
        uploadMode,
        size,
        median(pushes).toFixed(2),
        median(pulls).toFixed(2),
        Math.round(await programs.appview.peakMebibytes()),
        Math.round(await programs.hold.peakMebibytes()),
        (((await programs.appview.cpuSeconds()) - cpuBefore[0]) / rounds).toFixed(2),
        (((await programs.hold.cpuSeconds()) - cpuBefore[1]) / rounds).toFixed(2),
      ]
      console.log(`| ${row.join(' | ')} |`)
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function timed(command: string, args: string[]): Promise<number> {
  const startedAtMs = performance.now()
  await mustRun(command, args)
  return (performance.now() - startedAtMs) / 1000
}
