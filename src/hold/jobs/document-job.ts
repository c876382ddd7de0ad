import type { DocumentKeeper } from '../pds/document-keeper.ts'
import type { HoldRepo } from '../pds/repo.ts'
import { Periodic } from './periodic.ts'

const documentIntervalMs = 10 * 60_000

/** Tries again what the DID directory could not be asked at start. */
export function documentJob(needs: { keeper: DocumentKeeper; repo: HoldRepo }): Periodic {
  return new Periodic({
    name: 'keep the DID document',
    intervalMs: documentIntervalMs,
    run: async () => {
      if (await needs.keeper.settle()) await needs.repo.announceIdentity()
    },
  })
}
