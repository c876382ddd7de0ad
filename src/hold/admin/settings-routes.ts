import type { Hono } from 'hono'

import { AtprotoError } from '../../atproto/errors.ts'
import { isDid, normalizeDid } from '../../atproto/syntax.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { logger } from '../../lib/log.ts'
import type { HoldContext } from '../context.ts'
import { adminAction, adminPage, answerAdminPage, seeOther, type Panel } from './call.ts'
import { settingsPage, type SettingsFields, type SettingsView } from './pages/settings.ts'

const log = logger('hold:admin')

type Needs = Pick<HoldContext, 'crew' | 'identities' | 'identity' | 'quotas'>

const regionBytesMax = 64

/** The captain record: who may use the hold, where it is, what comes after it. */
export function mountSettings(app: Hono<ServerEnv>, panel: Panel, needs: Needs): void {
  const { crew, quotas } = needs

  app.get(
    '/admin/settings',
    adminPage(panel, async ({ account, context }) => {
      const { isPublic, allowAllCrew, enableBlueskyPosts, region, successorDid } = await crew.getCaptain()
      const fields = { isPublic, allowAllCrew, enableBlueskyPosts, region: region ?? '', successorDid: successorDid ?? '' } // prettier-ignore
      const notice =
        context.req.query('done') === undefined ? undefined : 'Saved. It is in force from now on.'
      const view = { fields, errors: {}, tiers: quotas.tiers(), notice }
      return answerAdminPage(context, settingsPage(panel.shell, account, view))
    }),
  )

  app.post(
    '/admin/settings',
    adminAction(panel, async ({ account, context, did }, form) => {
      const fields: SettingsFields = {
        isPublic: form.isChecked('public'),
        allowAllCrew: form.isChecked('allow-all-crew'),
        enableBlueskyPosts: form.isChecked('posts'),
        region: form.text('region'),
        successorDid: form.text('successor'),
      }
      const errors = await checkFields(needs, fields)
      if (Object.keys(errors).length > 0) {
        const view = { fields, errors, tiers: quotas.tiers(), notice: undefined }
        return answerAdminPage(context, settingsPage(panel.shell, account, view), 422)
      }
      const { region, successorDid, ...switches } = fields
      await crew.updateCaptain({
        ...switches,
        region: region === '' ? undefined : region,
        successorDid: isDid(successorDid) ? normalizeDid(successorDid) : undefined,
      })
      log.info({ did, ...fields }, 'settings changed')
      return seeOther(context, '/admin/settings?done=saved')
    }),
  )
}

async function checkFields(needs: Needs, fields: SettingsFields): Promise<SettingsView['errors']> {
  const successorError = await checkSuccessor(needs, fields.successorDid)
  return {
    ...(Buffer.byteLength(fields.region) > regionBytesMax && { region: 'Too long: at most 64 characters.' }),
    ...(successorError !== undefined && { successorDid: successorError }),
  }
}

/** A successor that is no hold would send everybody astray. One that stands there already is not asked again. */
async function checkSuccessor(
  { crew, identities, identity }: Needs,
  successor: string,
): Promise<string | undefined> {
  if (successor === '' || successor === (await crew.getCaptain()).successorDid) return undefined
  if (!isDid(successor)) return 'Not a DID. It looks like did:web:hold.example.com or did:plc:…'
  if (normalizeDid(successor) === normalizeDid(identity.did)) return 'This is this hold itself.'
  try {
    const { holdUrl } = await identities.resolveDid(successor, { fresh: true })
    return holdUrl === undefined ? 'This DID is not that of a hold.' : undefined
  } catch (error) {
    if (!(error instanceof AtprotoError)) throw error
    return error.code === 'unreachable'
      ? 'This hold did not answer. It needs to be running before it can take over.'
      : 'Nothing was found under this DID.'
  }
}
