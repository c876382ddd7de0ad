import type { Secp256k1Keypair } from '@atproto/crypto'
import { isValidHandle } from '@atproto/syntax'

import type { PlcDirectory } from '../../atproto/plc-directory.ts'
import { didWebOfUrl, isDid, normalizeDid, type Did, type Handle } from '../../atproto/syntax.ts'
import { SettingsError } from '../../lib/config.ts'
import { didDocument, type DocumentService, type HoldDidDocument, type HoldProfile } from './did-document.ts'
import { readIfThere, writeNewFile } from '../../lib/whole-file.ts'
import { findKey, loadOrCreateKey } from './key-file.ts'
import { createPlcDid } from './plc-document.ts'

/** Who the hold is on the ATProto network. */
export interface HoldIdentity extends HoldProfile {
  did: Did
  /** Signs changes of a did:plc document; undefined with did:web, and where somebody else keeps it. */
  rotationKey: Secp256k1Keypair | undefined
  document: HoldDidDocument
}

export interface HoldIdentityOptions {
  publicUrl: URL
  /** As configured; wins over the file. */
  did: string | null
  didMethod: 'web' | 'plc'
  /** `did.txt` in the data folder: the DID this hold had when it first ran. */
  didPath: string
  keyPath: string
  rotationKeyPath: string
  directory: PlcDirectory
  /** Others at the same address. They stand in documents that the hold serves itself; a did:plc names the hold alone. */
  neighbours?: readonly DocumentService[]
}

/** The hold's DID, keys and DID document; keys and DID are made at first run and kept. @throws {SettingsError} */
export async function loadHoldIdentity(options: HoldIdentityOptions): Promise<HoldIdentity> {
  const { publicUrl } = options
  const signingKey = await loadOrCreateKey(options.keyPath)
  const profile = { handle: handleOfUrl(publicUrl), publicUrl, signingKey }
  const did = (await findDid(options)) ?? (await createDid(profile, options))
  const rotationKey = did.startsWith('did:plc:') ? await findKey(options.rotationKeyPath) : undefined
  const neighbours = did.startsWith('did:web:') ? (options.neighbours ?? []) : []
  return { ...profile, did, rotationKey, document: didDocument(did, profile, neighbours) }
}

/** The DID as configured or as kept; undefined before the first run. @throws {SettingsError} */
export async function findDid(
  options: Pick<HoldIdentityOptions, 'did' | 'didPath'>,
): Promise<Did | undefined> {
  const configured = options.did?.trim()
  if (configured) return checkedDid(configured, 'database.did')
  const kept = (await readIfThere(options.didPath))?.toString('utf8').trim()
  return kept ? checkedDid(kept, options.didPath) : undefined
}

async function createDid(profile: HoldProfile, options: HoldIdentityOptions): Promise<Did> {
  const did =
    options.didMethod === 'web'
      ? didWebOfUrl(profile.publicUrl)
      : await createPlcDid({ ...profile, rotationKey: await loadOrCreateKey(options.rotationKeyPath) }, options.directory) // prettier-ignore
  await writeNewFile(options.didPath, `${did}\n`, 0o644)
  return did
}

function checkedDid(text: string, source: string): Did {
  if (!isDid(text)) throw new SettingsError([`${source}: ${JSON.stringify(text)} is not a DID`])
  return normalizeDid(text)
}

function handleOfUrl(url: URL): Handle | undefined {
  return url.port === '' && isValidHandle(url.hostname) ? url.hostname : undefined
}
