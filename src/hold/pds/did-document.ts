import type { Secp256k1Keypair } from '@atproto/crypto'

import type { Did, Handle } from '../../atproto/syntax.ts'

/** What a DID document says about a hold. */
export interface HoldProfile {
  /** The host name, when it can be one: `localhost:8080` cannot. */
  handle: Handle | undefined
  publicUrl: URL
  signingKey: Secp256k1Keypair
}

/** What `/.well-known/did.json` answers. */
export interface HoldDidDocument {
  '@context': string[]
  id: Did
  alsoKnownAs: string[]
  verificationMethod: { id: string; type: 'Multikey'; controller: Did; publicKeyMultibase: string }[]
  service: { id: string; type: string; serviceEndpoint: string }[]
}

/** What others find a service by. */
export interface DocumentService {
  fragment: string
  type: string
}

/** What others find a hold by; all of them are at its public URL. */
export const holdServices = [
  { fragment: 'atproto_pds', type: 'AtprotoPersonalDataServer' },
  { fragment: 'atcr_hold', type: 'AtcrHoldService' },
] as const satisfies DocumentService[]

/** `neighbours` are services of others at the same address. */
export function didDocument(
  did: Did,
  { handle, publicUrl, signingKey }: HoldProfile,
  neighbours: readonly DocumentService[] = [],
): HoldDidDocument {
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
    service: [...holdServices, ...neighbours].map(({ fragment, type }) => ({
      id: `${did}#${fragment}`,
      type,
      serviceEndpoint: publicUrl.origin,
    })),
  }
}
