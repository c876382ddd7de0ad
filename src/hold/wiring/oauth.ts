import type { OAuthClient, OAuthDocumentPaths } from '../../atproto/oauth-client.ts'
import { OAuthMemorySessions, OAuthMemoryStore } from '../../atproto/oauth-memory-store.ts'
import { oauthOrigin } from '../../atproto/oauth-origin.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { AttemptLimit } from '../../lib/attempt-limit.ts'
import type { Now } from '../../lib/clock.ts'
import type { HoldPaths } from '../config.ts'
import type { AdminPanel, HoldContext } from '../context.ts'
import { AdminLogins } from '../services/admin-logins.ts'
import { AdminSessions } from '../services/admin-sessions.ts'
import {
  OwnerRegistration,
  registrationCallbackPath,
  registrationPath,
  registrationScope,
} from '../services/owner-registration.ts'

const adminLoginSecondsMax = 15 * 60
const registrationSecondsMax = 3600

type Needs = Pick<HoldContext, 'config' | 'publicUrl'> & { paths: HoldPaths; fetch: Fetch; now: Now }

/** One of the OAuth clients of this hold: they share a key, and nothing else. */
interface ClientOfHold {
  scope: string
  redirectPath: string
  documentPaths?: OAuthDocumentPaths
  /** How long a login may take. */
  lifetimeSeconds: number
  entryCountMax: number
  handleResolverUrl: () => Promise<string | null>
}

/** The admin panel: the captain and crew admins sign in at their own servers. */
export function createAdmin(needs: Needs & Pick<HoldContext, 'database'>): AdminPanel {
  const { config, publicUrl, database, now } = needs
  const oauth = lazyClient(needs, {
    scope: 'atproto',
    redirectPath: '/admin/oauth/callback',
    // Keys under a path that no other program at this address has.
    documentPaths: { metadataPath: '/oauth/client-metadata.json', jwksPath: '/admin/oauth/jwks.json' },
    lifetimeSeconds: adminLoginSecondsMax,
    entryCountMax: 1000,
    handleResolverUrl: async () => config.database.handle_resolver_url ?? null,
  })
  return {
    origin: oauthOrigin(new URL(publicUrl)),
    allowsPlainHttp: config.server.test_mode,
    oauth,
    logins: new AdminLogins({ client: oauth }),
    sessions: new AdminSessions({ database, now }),
    loginLimit: new AttemptLimit({ now, countMax: 20, everySeconds: 30 }),
  }
}

/** How the hold gets into its owner's data repo. */
export function createRegistration(
  needs: Needs & Pick<HoldContext, 'crew' | 'identities'>,
): Pick<HoldContext, 'registration' | 'registrationClient'> {
  const { publicUrl, crew, identities, fetch, now } = needs
  const client = lazyClient(needs, {
    scope: registrationScope,
    redirectPath: registrationCallbackPath,
    documentPaths: {
      metadataPath: `${registrationPath}/oauth/client-metadata.json`,
      jwksPath: `${registrationPath}/oauth/jwks.json`,
    },
    lifetimeSeconds: registrationSecondsMax,
    entryCountMax: 100,
    // The owner is known by DID; his own server may say what it likes about handles.
    handleResolverUrl: async () => {
      const { ownerDid } = await crew.getCaptain()
      return (await identities.resolveDid(ownerDid)).pdsUrl ?? null
    },
  })
  return {
    registration: new OwnerRegistration({ client, crew, identities, fetch, publicUrl, now }),
    registrationClient: client,
  }
}

/** Made when it is first asked for, because it takes its time to load and most starts of a hold see no login. */
function lazyClient(
  { config, paths, publicUrl, fetch, now }: Needs,
  { lifetimeSeconds, entryCountMax, handleResolverUrl, ...which }: ClientOfHold,
): () => Promise<OAuthClient> {
  const limits = { now, lifetimeSeconds, entryCountMax }
  const create = async (): Promise<OAuthClient> => {
    const { createOAuthClient } = await import('../../atproto/oauth-client.ts')
    return createOAuthClient({
      ...which,
      publicUrl,
      clientName: `Hold ${new URL(publicUrl).host}`,
      keyFile: paths.oauthKey,
      stores: { states: new OAuthMemoryStore(limits), sessions: new OAuthMemorySessions(limits) },
      fetch,
      plcUrl: config.database.plc_directory_url,
      handleResolverUrl: await handleResolverUrl(),
      allowHttp: config.server.test_mode,
      now,
    })
  }
  let client: Promise<OAuthClient> | undefined
  return () =>
    (client ??= create().catch((error: unknown) => {
      client = undefined
      throw error
    }))
}
