import type { DemoRepository } from './catalogue.ts'
import { catalogue } from './catalogue.ts'
import { diceOf } from './dice.ts'

const dayMs = 24 * 60 * 60 * 1000

/** A version of a repository goes up. */
export interface DemoPush {
  repository: DemoRepository
  version: string
  /** Before now, in milliseconds. */
  agoMs: number
  isNewest: boolean
  tags: string[]
}

/** All pushes of the demo, the oldest first. */
export function demoPushes(): DemoPush[] {
  return catalogue.flatMap(pushesOf).toSorted((a, b) => b.agoMs - a.agoMs)
}

function pushesOf(repository: DemoRepository): DemoPush[] {
  const { days, versions } = repository
  const dice = diceOf(`days of ${repository.owner}/${repository.name}`)
  const steps = Math.max(1, versions.length - 1)
  return versions.map((version, index) => {
    const isNewest = index === versions.length - 1
    // Nobody releases at even intervals; the first and the last day are as written.
    const wobble = index === 0 || isNewest ? 0 : (dice.next() - 0.5) * 0.7
    const share = (index + wobble) / steps
    const agoMs = (versions.length === 1 ? days[1] : days[0] + (days[1] - days[0]) * share) * dayMs
    return { repository, version, agoMs, isNewest, tags: tagsOf(repository, version) }
  })
}

/** The version, and the tags that move to it. A release candidate moves none. */
function tagsOf({ moving = 'latest', recipe }: DemoRepository, version: string): string[] {
  // Helm wants versions bare, as do all others here; Go programs like their `v`.
  const tag = recipe === 'go' && /^\d+\.\d+\.\d+/.test(version) ? `v${version}` : version
  if (moving === 'none' || version.includes('-rc')) return [tag]
  if (moving === 'latest') return [tag, 'latest']
  const [major = '', minor = ''] = tag.split('.')
  return [tag, `${major}.${minor}`, major, 'latest']
}
