import { AtprotoError } from '../../atproto/errors.ts'
import type { PlcDirectory } from '../../atproto/plc-directory.ts'
import { logger } from '../../lib/log.ts'
import type { HoldIdentity } from './identity.ts'
import { repairPlcDocument } from './plc-document.ts'

const log = logger('hold:identity')

/**
 * Sees to it that the document in the DID directory says what this hold is. A did:web hold serves its document itself and has
 * nothing to keep.
 */
export class DocumentKeeper {
  readonly #identity: HoldIdentity
  readonly #directory: PlcDirectory
  #isSettled: boolean

  constructor(needs: { identity: HoldIdentity; directory: PlcDirectory }) {
    this.#identity = needs.identity
    this.#directory = needs.directory
    this.#isSettled = !needs.identity.did.startsWith('did:plc:')
  }

  /**
   * Compares, and repairs what it can, until the directory was heard once: what the hold is does not change while it runs.
   * Resolves to whether the document was changed, and never rejects: a hold works while the directory is away.
   */
  async settle(): Promise<boolean> {
    if (this.#isSettled) return false
    const { did } = this.#identity
    try {
      const state = await repairPlcDocument(did, this.#identity, this.#directory)
      this.#isSettled = true
      return state === 'repaired'
    } catch (error) {
      if (!(error instanceof AtprotoError)) throw error
      log.warn(
        { err: error, did },
        'the document of this hold could not be compared; it is tried again later',
      )
      return false
    }
  }
}
