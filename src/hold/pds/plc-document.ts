import type { Secp256k1Keypair } from '@atproto/crypto'
import type { CompatibleOp, UnsignedOperation } from '@did-plc/lib'

import { AtprotoError } from '../../atproto/errors.ts'
import type { PlcDirectory } from '../../atproto/plc-directory.ts'
import { isDid, type Did } from '../../atproto/syntax.ts'
import { assert } from '../../lib/assert.ts'
import { SettingsError } from '../../lib/config.ts'
import { logger } from '../../lib/log.ts'
import { holdServices, type HoldProfile } from './did-document.ts'

const log = logger('hold:identity')

/**
 * Gives a new hold its did:plc: the genesis operation says all that the document is to say, and its hash is the DID, so that
 * the same keys, URL and handle always make the same one. Resolves once the directory has it.
 * @throws {SettingsError} when the directory does not take it
 */
export async function createPlcDid(
  profile: HoldProfile & { rotationKey: Secp256k1Keypair },
  directory: PlcDirectory,
): Promise<Did> {
  const { didForCreateOp, signOperation } = await import('@did-plc/lib')
  const { rotationKey } = profile
  const unsigned: UnsignedOperation = {
    type: 'plc_operation',
    rotationKeys: [rotationKey.did()],
    ...entriesOf(profile),
    prev: null,
  }
  const genesis = await signOperation(unsigned, rotationKey)
  const did = await didForCreateOp(genesis)
  assert(isDid(did), 'the hash of a genesis operation is a DID')
  try {
    // One that a crash kept from being written down is there already, and is not sent twice.
    if ((await directory.findLastOperation(did)) === undefined) await directory.append(did, genesis)
  } catch (error) {
    if (!(error instanceof AtprotoError)) throw error
    throw new SettingsError([
      `database.did_method: ${error.message}; without it a new hold gets no did:plc. Start it again when the directory ` +
        '(database.plc_directory_url) can be reached: the same identity is tried again. Or set the method to web',
    ])
  }
  return did
}

/** What came of comparing a document in the directory with what this hold is. */
export type DocumentState = 'agrees' | 'repaired' | 'not ours to repair'

/**
 * Compares the directory's document of this hold with what the hold is now, and brings it up to date where the rotation key
 * lets it. What others put into the document (more keys, services, names) stays.
 * @throws {AtprotoError} `unreachable`, `bad_answer`, `xrpc_refused`
 */
export async function repairPlcDocument(
  did: Did,
  profile: HoldProfile & { rotationKey: Secp256k1Keypair | undefined },
  directory: PlcDirectory,
): Promise<DocumentState> {
  const last = await findPlcDocument(did, directory)
  const drift = last === undefined ? ['the DID itself'] : driftOf(last.document, profile)
  if (drift.length === 0) return 'agrees'
  const { rotationKey } = profile
  if (last === undefined || rotationKey === undefined || !isRotationKey(last.document, rotationKey)) {
    log.warn(
      {
        did,
        drift,
        signingKey: profile.signingKey.did(),
        url: profile.publicUrl.origin,
        handle: profile.handle,
      },
      'the DID directory says something else about this hold, and no rotation key of its document is here: others ' +
        'cannot verify or find it until whoever has that key changes the document, or the key is put into ' +
        'database.rotation_key_path',
    )
    return 'not ours to repair'
  }
  const { createUpdateOp } = await import('@did-plc/lib')
  const update = await createUpdateOp(last.operation, rotationKey, (document) => corrected(document, profile))
  await directory.append(did, update)
  log.info({ did, changed: drift }, 'the document in the DID directory was brought up to date')
  return 'repaired'
}

/** What the directory has of a DID; undefined when it does not know it, or knows it as given up. */
export async function findPlcDocument(
  did: Did,
  directory: PlcDirectory,
): Promise<{ operation: CompatibleOp; document: UnsignedOperation } | undefined> {
  const { normalizeOp, def } = await import('@did-plc/lib')
  const operation = def.compatibleOp.safeParse(await directory.findLastOperation(did))
  return operation.success ? { operation: operation.data, document: normalizeOp(operation.data) } : undefined
}

/** Whether a key may sign the next operation. */
export function isRotationKey(document: UnsignedOperation, key: Secp256k1Keypair): boolean {
  return document.rotationKeys.includes(key.did())
}

/** What of a document is not as this hold is, in words. */
export function driftOf(document: UnsignedOperation, profile: HoldProfile): string[] {
  const wanted = entriesOf(profile)
  return [
    ...(document.verificationMethods['atproto'] === wanted.verificationMethods['atproto']
      ? []
      : ['signing key']),
    ...Object.entries(wanted.services).flatMap(([name, { type, endpoint }]) => {
      const present = document.services[name]
      return present?.type === type && present.endpoint === endpoint ? [] : [`service #${name}`]
    }),
    ...(wanted.alsoKnownAs.every((name) => firstHandle(document.alsoKnownAs) === name) ? [] : ['handle']),
  ]
}

function corrected(document: UnsignedOperation, profile: HoldProfile): UnsignedOperation {
  const wanted = entriesOf(profile)
  const { alsoKnownAs } = document
  const isStale = (name: string) => wanted.alsoKnownAs.length > 0 && name === firstHandle(alsoKnownAs)
  const others = alsoKnownAs.filter((name) => !isStale(name) && !wanted.alsoKnownAs.includes(name))
  return {
    ...document,
    verificationMethods: { ...document.verificationMethods, ...wanted.verificationMethods },
    services: { ...document.services, ...wanted.services },
    alsoKnownAs: [...wanted.alsoKnownAs, ...others],
  }
}

/** The handle of an account is the first name of this kind in its document. */
function firstHandle(alsoKnownAs: readonly string[]): string | undefined {
  return alsoKnownAs.find((name) => name.startsWith('at://'))
}

function entriesOf(
  profile: HoldProfile,
): Pick<UnsignedOperation, 'verificationMethods' | 'services' | 'alsoKnownAs'> {
  const { handle, publicUrl, signingKey } = profile
  const services = holdServices.map(({ fragment, type }) => [fragment, { type, endpoint: publicUrl.origin }])
  return {
    verificationMethods: { atproto: signingKey.did() },
    services: Object.fromEntries(services),
    alsoKnownAs: handle === undefined ? [] : [`at://${handle}`],
  }
}
