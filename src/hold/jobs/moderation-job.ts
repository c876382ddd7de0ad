import type { Layers } from '../services/layers.ts'
import type { Moderation } from '../services/moderation.ts'
import { Periodic } from './periodic.ts'

const intervalMs = 3_600_000

/** Removes the layers of what was taken down and not restored in time; garbage collection frees their bytes. */
export function moderationJob(needs: {
  moderation: Moderation
  layers: Pick<Layers, 'locks' | 'removeManifests'>
}): Periodic {
  const { moderation, layers } = needs
  return new Periodic({
    name: 'moderation',
    intervalMs,
    run: async (signal) => {
      const remove = (uri: string) => layers.locks.run(uri, () => layers.removeManifests([uri]))
      await moderation.removeOverdue(remove, signal)
      await moderation.forgetRepositories(signal)
    },
  })
}
