import { AtprotoError } from '../../atproto/errors.ts'
import type { PlcDirectory } from '../../atproto/plc-directory.ts'
import { SettingsError } from '../../lib/config.ts'
import { logger } from '../../lib/log.ts'
import type { HoldIdentity } from './identity.ts'
import { findPlcDocument, isRotationKey, repairPlcDocument } from './plc-document.ts'

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
   * Whether the document will follow a change of the signing key.
   * @throws {SettingsError} saying what is missing
   */
  async checkCanFollow(): Promise<void> {
    const { did, rotationKey } = this.#identity
    if (!did.startsWith('did:plc:')) return
    const known = await findPlcDocument(did, this.#directory).catch((error: unknown) => {
      if (!(error instanceof AtprotoError)) throw error
      throw new SettingsError([`${error.message}; try again when it does: the new key has to be put there`])
    })
    if (known === undefined) throw new SettingsError([`the DID directory does not know ${did}`])
    if (rotationKey !== undefined && isRotationKey(known.document, rotationKey)) return
    throw new SettingsError([
      `the document of ${did} can be changed by ${known.document.rotationKeys.join(' or ')} only, and that key is not here. ` +
        'Put it into the file that database.rotation_key_path names (rotation.key in the data folder)',
    ])
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
