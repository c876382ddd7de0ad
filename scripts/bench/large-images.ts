/**
 * `npm run bench:images`: pushes and pulls images of one large layer by skopeo, direct and relayed, and prints wall time
 * with the peak memory of AppView and hold, which must not grow with the layer.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { mustRun } from '../../test/e2e/command.ts'
import { OciLayout } from '../../test/e2e/oci-layout.ts'
import { Programs, type MeasuredAppView } from './programs.ts'

const sizesMebibytes = [100, 500]
const roundCount = 3

const folder = await mkdtemp(join(tmpdir(), 'atcr-bench-images-'))
console.log(
  '| upload | layer MiB | push s | pull s | AppView peak MiB | hold peak MiB | AppView CPU s | hold CPU s |',
)
console.log('|---|---|---|---|---|---|---|---|')
try {
  for (const uploadMode of ['auto', 'relay']) {
    await using programs = await Programs.start()
    await using appView = await programs.startAppView({ ATCR_SERVER_UPLOAD_MODE: uploadMode })
    for (const size of sizesMebibytes)
      console.log(`| ${(await measure(programs, appView, uploadMode, size)).join(' | ')} |`)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

/** Medians of the rounds; CPU is that of a push and a pull together. */
async function measure(
  programs: Programs,
  appView: MeasuredAppView,
  uploadMode: string,
  size: number,
): Promise<unknown[]> {
  const { alice } = programs.network.accounts
  const processes = [appView.process, programs.hold] as const
  const credentials = `${alice.handle}:${alice.appPassword}`
  const pushes: number[] = []
  const pulls: number[] = []
  for (const process of processes) await process.resetPeak()
  const before = await Promise.all(processes.map((process) => process.cpuSeconds()))
  for (let round = 0; round < roundCount; round++) {
    // Never the same bytes twice: a layer that the hold has already is not uploaded.
    const layout = await OciLayout.create(join(folder, `${uploadMode}-${size}-${round}`))
    await layout.addImage('v', [size * 2 ** 20])
    const image = `docker://${new URL(appView.url).host}/alice.test/bench-${size}-${round}:v`
    pushes.push(
      await timed(['--dest-tls-verify=false', '--dest-creds', credentials, `oci:${layout.path}:v`, image]),
    )
    pulls.push(
      await timed(['--src-no-creds', '--src-tls-verify=false', image, `dir:${join(folder, 'pulled')}`]),
    )
    await rm(join(folder, 'pulled'), { recursive: true })
    await rm(layout.path, { recursive: true })
  }
  const after = await Promise.all(processes.map((process) => process.cpuSeconds()))
  const peaks = await Promise.all(processes.map((process) => process.peakMebibytes()))
  return [
    uploadMode === 'auto' ? 'direct' : 'relay',
    size,
    median(pushes).toFixed(2),
    median(pulls).toFixed(2),
    ...peaks.map(Math.round),
    ...after.map((seconds, index) => ((seconds - (before[index] as number)) / roundCount).toFixed(2)),
  ]
}

async function timed(args: readonly string[]): Promise<number> {
  const startedAtMs = performance.now()
  await mustRun('skopeo', ['copy', '-q', '--preserve-digests', ...args])
  return (performance.now() - startedAtMs) / 1000
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] as number
}
