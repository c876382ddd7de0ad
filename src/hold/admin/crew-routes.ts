import type { Context, Hono } from 'hono'

import { AtprotoError } from '../../atproto/errors.ts'
import { isDid, normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Form } from '../../http/forms.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { isCrewPermission, type CrewPermission } from '../../protocol/lexicon/crew-record.ts'
import type { HoldContext } from '../context.ts'
import { adminAction, adminPage, answerAdminPage, seeOther, type AdminCall, type Panel } from './call.ts'
import {
  addCrewPage,
  crewPage,
  memberFormPage,
  memberPath,
  removeCrewPage,
  type MemberFields,
  type MemberFormView,
} from './pages/crew.ts'
import { messagePage } from './pages/messages.ts'
import { viewCrew, viewUsage } from './views/crew.ts'
import { findName } from './views/people.ts'

type Needs = Pick<HoldContext, 'crew' | 'identities' | 'now' | 'quotas'>

const roleBytesMax = 32
const newMember: MemberFields = { role: 'member', permissions: ['blob:read', 'blob:write'], tier: '' }

/** What a form led to, by what stands in the address it leads to. */
const notices: Record<string, string> = {
  added: 'Added to the crew.',
  saved: 'Saved. It is in force from now on.',
  removed: 'Removed from the crew.',
}

/** Crew: list, add, edit, remove. */
export function mountCrew(app: Hono<ServerEnv>, panel: Panel, needs: Needs): void {
  const { crew, identities } = needs

  app.get(
    '/admin/crew',
    adminPage(panel, async ({ account, context }) => {
      const view = await viewCrew(needs, context.req.query('cursor'))
      const notice = notices[context.req.query('done') ?? '']
      return answerAdminPage(context, crewPage(panel.shell, account, { ...view, notice }))
    }),
  )

  app.get(
    '/admin/crew/add',
    adminPage(panel, async ({ account, context, did }) => {
      const actor = context.req.query('actor')?.trim()
      if (actor === undefined)
        return answerAdminPage(context, addCrewPage(panel.shell, account, { actor: '', error: undefined }))
      const found = await findAccount(needs, actor)
      if (typeof found === 'string')
        return answerAdminPage(context, addCrewPage(panel.shell, account, { actor, error: found }), 422)
      if ((await crew.find(found.did)) !== undefined) return seeOther(context, memberPath(found.did))
      const view = formView(needs, { ...found, isNew: true, isSelf: found.did === did, fields: newMember })
      return answerAdminPage(context, memberFormPage(panel.shell, account, view))
    }),
  )

  app.post(
    '/admin/crew',
    adminAction(panel, async (call, form) => {
      const member = form.text('did')
      if (!isDid(member)) return noSuchMember(panel, call.context)
      if ((await crew.find(member)) !== undefined) return seeOther(call.context, memberPath(member))
      return saveMember(panel, needs, call, { form, member: normalizeDid(member), isNew: true })
    }),
  )

  app.get(
    '/admin/crew/:did',
    adminPage(panel, async ({ account, context, did }) => {
      const member = await findMember(needs, context.req.param('did'))
      if (member === undefined) return noSuchMember(panel, context)
      const { memberDid, role, permissions, tier = '' } = member
      const view = formView(needs, {
        did: memberDid,
        handle: await findName(identities, memberDid),
        isNew: false,
        isSelf: memberDid === did,
        fields: { role, permissions, tier },
      })
      return answerAdminPage(context, memberFormPage(panel.shell, account, view))
    }),
  )

  app.post(
    '/admin/crew/:did',
    adminAction(panel, async (call, form) => {
      const member = await findMember(needs, call.context.req.param('did'))
      if (member === undefined) return noSuchMember(panel, call.context)
      return saveMember(panel, needs, call, { form, member: member.memberDid, isNew: false })
    }),
  )

  app.get(
    '/admin/crew/:did/remove',
    adminPage(panel, async ({ account, context, did }) => {
      const member = await findMember(needs, context.req.param('did'))
      if (member === undefined) return noSuchMember(panel, context)
      const { isPublic, allowAllCrew } = await crew.getCaptain()
      const view = {
        did: member.memberDid,
        handle: await findName(identities, member.memberDid),
        usage: await viewUsage(needs, member.memberDid),
        isPublic,
        allowAllCrew,
        isSelf: member.memberDid === did,
      }
      return answerAdminPage(context, removeCrewPage(panel.shell, account, view))
    }),
  )

  app.post(
    '/admin/crew/:did/remove',
    adminAction(panel, async ({ context }) => {
      const member = await findMember(needs, context.req.param('did'))
      if (member === undefined) return noSuchMember(panel, context)
      await crew.remove(member.memberDid)
      return seeOther(context, '/admin/crew?done=removed')
    }),
  )
}

/** A member who can be changed here: the captain cannot. */
async function findMember({ crew }: Pick<Needs, 'crew'>, did: string | undefined) {
  if (did === undefined || !isDid(did)) return undefined
  const { ownerDid } = await crew.getCaptain()
  return normalizeDid(ownerDid) === normalizeDid(did) ? undefined : crew.find(did)
}

/** Whom a name leads to; or why it leads nowhere. */
async function findAccount(
  { identities }: Pick<Needs, 'identities'>,
  actor: string,
): Promise<Pick<MemberFormView, 'did' | 'handle' | 'pdsUrl'> | string> {
  if (actor.length > 500) return 'Too long.'
  try {
    const { did, handle, pdsUrl } = await identities.resolveActor(actor.replace(/^@/, ''))
    return { did, handle, pdsUrl }
  } catch (error) {
    if (!(error instanceof AtprotoError)) throw error
    return error.code === 'unreachable'
      ? 'Nobody could say who this is just now. Try again in a moment, or enter the DID.'
      : 'Nobody was found under this name. Check the spelling.'
  }
}

async function saveMember(
  panel: Panel,
  needs: Needs,
  { account, context, did }: AdminCall,
  sent: { form: Form; member: Did; isNew: boolean },
): Promise<Response> {
  const { form, isNew, member } = sent
  const permissions = form.all('permission').filter(isCrewPermission)
  const fields = { role: form.text('role'), permissions, tier: form.text('tier') }
  const errors = await checkFields(needs, member, fields)
  if (Object.keys(errors).length > 0) {
    const handle = await findName(needs.identities, member)
    const view = formView(needs, { did: member, handle, isNew, isSelf: member === did, fields, errors })
    return answerAdminPage(context, memberFormPage(panel.shell, account, view), 422)
  }
  const tier = fields.tier === '' ? undefined : fields.tier
  await needs.crew.admit(member, { role: fields.role, permissions, tier })
  return seeOther(context, `/admin/crew?done=${isNew ? 'added' : 'saved'}`)
}

async function checkFields(
  { crew, quotas }: Pick<Needs, 'crew' | 'quotas'>,
  member: Did,
  fields: MemberFields & { permissions: readonly CrewPermission[] },
): Promise<MemberFormView['errors']> {
  const { permissions, role, tier } = fields
  const isKnownTier =
    tier === '' ||
    quotas.tiers().some(({ name }) => name === tier) ||
    (await crew.find(member))?.tier === tier
  return {
    ...(role === '' && { role: 'Name a role, such as member.' }),
    ...(Buffer.byteLength(role) > roleBytesMax && { role: 'Too long: at most 32 characters.' }),
    ...(permissions.length === 0 && { permissions: 'Choose at least one.' }),
    ...(!isKnownTier && { tier: 'There is no such tier.' }),
  }
}

function formView(
  { quotas }: Pick<Needs, 'quotas'>,
  view: Omit<MemberFormView, 'errors' | 'tiers'> & { errors?: MemberFormView['errors'] },
): MemberFormView {
  return { errors: {}, ...view, tiers: quotas.tiers() }
}

function noSuchMember(panel: Panel, context: Context<ServerEnv>): Promise<Response> {
  const page = messagePage(panel.shell, {
    title: 'No such crew member',
    text: 'Nobody in the crew has this DID, or it is the captain, who stays as he is. Somebody else may have removed them just now.',
    link: { href: '/admin/crew', text: 'To the crew' },
  })
  return answerAdminPage(context, page, 404)
}
