import type { Account } from '../../test/network/accounts.ts'
import { OciClient } from '../../test/network/oci-client.ts'
import type { MeasuredProcess } from './measured-process.ts'
import { sum, type Sample } from './figures.ts'

/** A registry under measurement: one of our shapes, or the peer. */
export interface Side {
  name: 'direct' | 'relay' | 'peer'
  url: string
  /** Those whose CPU and memory count, the one that clients talk to first. */
  processes: readonly MeasuredProcess[]
  /** Repository path of a plain name. */
  repository(name: string): string
  /** The header that lets one push and pull there; undefined where nobody asks. */
  authorization(name: string): Promise<string | undefined>
}

export function ourSide(
  name: 'direct' | 'relay',
  parts: { url: string; processes: readonly MeasuredProcess[]; account: Account },
): Side {
  const { url, processes, account } = parts
  const repository = (plain: string) => `${account.handle}/${plain}`
  return {
    name,
    url,
    processes,
    repository,
    authorization: (plain) => bearer(url, repository(plain), account),
  }
}

export function peerSide(parts: { url: string; process: MeasuredProcess }): Side {
  return {
    name: 'peer',
    url: parts.url,
    processes: [parts.process],
    repository: (plain) => `alice/${plain}`,
    authorization: async () => undefined,
  }
}

/** A fresh registry token; anonymous without an account. */
export async function bearer(url: string, repository: string, account?: Account): Promise<string> {
  const credentials = account === undefined ? {} : { username: account.handle, password: account.appPassword }
  const client = new OciClient({ registryUrl: url, ...credentials })
  const challenge = (await fetch(`${url}/v2/`)).headers.get('www-authenticate') ?? ''
  const actions = account === undefined ? 'pull' : 'pull,push'
  return `Bearer ${await client.fetchToken(`${challenge},scope="repository:${repository}:${actions}"`)}`
}

/** Runs one round on one side and says what CPU its processes took for it, and the network, which runs in this process. */
export async function sampled(
  side: Side,
  action: () => Promise<{ value: number; p99Ms?: number; amount: number }>,
): Promise<Sample> {
  const before = await Promise.all(side.processes.map((it) => it.cpuSeconds()))
  const networkBefore = process.cpuUsage()
  const done = await action()
  const { user, system } = process.cpuUsage(networkBefore)
  const after = await Promise.all(side.processes.map((it) => it.cpuSeconds()))
  return {
    ...done,
    cpuSeconds: after.map((seconds, index) => seconds - (before[index] ?? 0)),
    networkCpuSeconds: (user + system) / 1e6,
  }
}

/** `AppView 61, hold 88`: what `describe` says of each process. */
export function perProcess(side: Side, values: readonly number[], digits: number): string {
  const parts = side.processes.map(({ name }, index) => `${name} ${(values[index] ?? 0).toFixed(digits)}`)
  return parts.length === 1 ? (values[0] ?? 0).toFixed(digits) : parts.join(' + ')
}

export async function peaks(side: Side): Promise<number[]> {
  return Promise.all(side.processes.map((it) => it.peakMebibytes()))
}

export async function resetPeaks(sides: readonly Side[]): Promise<void> {
  await Promise.all(sides.flatMap((side) => side.processes.map((it) => it.resetPeak())))
}

export const totalPeak = async (side: Side) => sum(await peaks(side))
