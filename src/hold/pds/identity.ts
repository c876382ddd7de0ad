import type { Secp256k1Keypair } from '@atproto/crypto'
import { isValidHandle } from '@atproto/syntax'

import { didWebOfUrl, isDid, normalizeDid, type Did, type Handle } from '../../atproto/syntax.ts'
import { SettingsError } from '../../lib/config.ts'
import { loadOrCreateSigningKey, readIfThere, writeNewFile } from './key-file.ts'

/** Who the hold is on the ATProto network. */
export interface HoldIdentity {
  did: Did
  /** The host name, when it can be one: `localhost:8080` cannot. */
  handle: Handle | undefined
  publicUrl: URL
  signingKey: Secp256k1Keypair
  document: HoldDidDocument
}

/** What `/.well-known/did.json` answers. */
export interface HoldDidDocument {
  '@context': string[]
  id: Did
  alsoKnownAs: string[]
  verificationMethod: { id: string; type: 'Multikey'; controller: Did; publicKeyMultibase: string }[]
  service: { id: string; type: string; serviceEndpoint: string }[]
}

export interface HoldIdentityOptions {
  publicUrl: URL
  /** As configured; wins over the file. */
  did: string | null
  didMethod: string
  /** `did.txt` in the data folder: the DID this hold had when it first ran. */
  didPath: string
  keyPath: string
}

/** The hold's DID, key and DID document; key and DID are made at first run and kept. @throws {SettingsError} */
export async function loadHoldIdentity(options: HoldIdentityOptions): Promise<HoldIdentity> {
  const { publicUrl } = options
  const did = await findOrCreateDid(options)
  const signingKey = await loadOrCreateSigningKey(options.keyPath)
  const handle = handleOfUrl(publicUrl)
  return { did, handle, publicUrl, signingKey, document: didDocument({ did, handle, publicUrl, signingKey }) }
}

export function didDocument(identity: Omit<HoldIdentity, 'document'>): HoldDidDocument {
  const { did, handle, publicUrl, signingKey } = identity
  const service = (fragment: string, type: string) => ({
    id: `${did}#${fragment}`,
    type,
    serviceEndpoint: publicUrl.origin,
  })
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did,
    alsoKnownAs: handle === undefined ? [] : [`at://${handle}`],
    verificationMethod: [
      {
        id: `${did}#atproto`,
        type: 'Multikey',
        controller: did,
        publicKeyMultibase: signingKey.did().slice('did:key:'.length),
      },
    ],
    service: [service('atproto_pds', 'AtprotoPersonalDataServer'), service('atcr_hold', 'AtcrHoldService')],
  }
}

async function findOrCreateDid(options: HoldIdentityOptions): Promise<Did> {
  const configured = options.did?.trim()
  if (configured) return checkedDid(configured, 'database.did')
  const kept = (await readIfThere(options.didPath))?.toString('utf8').trim()
  if (kept) return checkedDid(kept, options.didPath)
  if (options.didMethod !== 'web') {
    throw new SettingsError([
      `database.did_method: this version makes did:web identities only, not did:${options.didMethod}; ` +
        'set it to web, or set database.did to a DID you already have',
    ])
  }
  const did = didWebOfUrl(options.publicUrl)
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
