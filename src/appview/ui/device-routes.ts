import type { Context, Hono } from 'hono'

import { atOrigin } from '../../http/at-origin.ts'
import { clientAddressOf } from '../../http/client-address.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { cleanText } from '../../lib/format.ts'
import { AppViewError } from '../errors.ts'
import type { AppContext } from '../context.ts'
import type { DeviceGrant } from '../services/device-grants.ts'
import { answerPage, seeOther, type PageStatus } from './answer.ts'
import { deviceApprovalPage, deviceCodePage, deviceOutcomePage, type DeviceOutcome } from './pages/device.ts'
import { messagePage } from './pages/errors.ts'
import { hasPdsSession } from '../services/pds-access.ts'
import type { BrowserSessions, SignedIn } from './sessions.ts'

type Ctx = Context<ServerEnv>
type Answer = Response | Promise<Response>

interface Needs extends Pick<AppContext, 'deviceGrants' | 'oauthLogins' | 'pdsSessions' | 'now' | 'log'> {
  sessions: BrowserSessions
}

/** What was typed is shown again, as far as it could be a code. */
const typedLengthMax = 40
const unknownCode =
  'This code is not known. Compare it with your terminal; codes are good for ten minutes, and once.'

/** Where a person says yes or no to a machine that shows a code (RFC 8628 §3.3). */
export function mountDevicePages(app: Hono<ServerEnv>, needs: Needs): void {
  const { deviceGrants, log, oauthLogins, sessions } = needs

  app.use('/device', atOrigin(oauthLogins.origin))
  app.get(
    '/device',
    sessions.page(async (context, signedIn) => {
      const typed = context.req.query('code') ?? ''
      if (typed.trim() === '') return answerCodeForm(needs, context, signedIn, { typed: '' })
      return answering(needs, context, signedIn, async () => {
        const grant = await deviceGrants.find(typed, signedIn.did)
        if (grant === undefined)
          return answerCodeForm(needs, context, signedIn, { typed, error: unknownCode }, 422)
        return answerGrant(needs, context, signedIn, grant)
      })
    }),
  )

  app.post(
    '/device/approve',
    sessions.action(async (context, signedIn, form) => {
      const typed = form.text('code')
      return answering(needs, context, signedIn, async () => {
        const verdict = verdicts.get(form.text('verdict'))
        if (verdict === undefined) return seeOther(context, pathOf(typed))
        try {
          const grant = await deviceGrants.decide(typed, verdict, signedIn.did)
          if (grant === undefined)
            return await answerCodeForm(needs, context, signedIn, { typed, error: unknownCode }, 422)
          log.info({ did: signedIn.did, device: grant.deviceName, state: grant.state }, 'a device was judged')
          return seeOther(context, pathOf(grant.userCode))
        } catch (error) {
          if (!(error instanceof AppViewError) || error.code !== 'device_limit') throw error
          const grant = await deviceGrants.find(typed, signedIn.did)
          if (grant === undefined) throw error
          return answerGrant(needs, context, signedIn, grant, error.message)
        }
      })
    }),
  )
}

const verdicts: ReadonlyMap<string, 'approved' | 'denied'> = new Map([
  ['approve', 'approved'],
  ['deny', 'denied'],
])

function answerCodeForm(
  { sessions }: Needs,
  context: Ctx,
  signedIn: SignedIn,
  view: { typed: string; error?: string },
  status: PageStatus = 200,
): Answer {
  const typed = cleanText(view.typed, typedLengthMax)
  const page = deviceCodePage(sessions.shell('/device', signedIn), { ...view, typed })
  return answerPage(context, page, { status, isPrivate: true })
}

/** The question, or what became of it. `error` says why the verdict could not be taken. */
async function answerGrant(
  { now, pdsSessions, sessions }: Needs,
  context: Ctx,
  signedIn: SignedIn,
  grant: DeviceGrant,
  error?: string,
): Promise<Response> {
  const shell = sessions.shell('/device', signedIn)
  const status = error === undefined ? 200 : 422
  if (grant.state === 'pending') {
    const isElsewhere = grant.address !== clientAddressOf(context)
    const canPush = await hasPdsSession(pdsSessions, signedIn.did)
    const view = { ...grant, isElsewhere, canPush, now: now(), ...(error !== undefined && { error }) }
    return answerPage(context, deviceApprovalPage(shell, signedIn, view), { status, isPrivate: true })
  }
  const page = deviceOutcomePage(shell, {
    outcome: outcomeOf(grant.state, grant.did === signedIn.did),
    deviceName: grant.deviceName,
    account: signedIn.handle ?? signedIn.did,
  })
  return answerPage(context, page, { status, isPrivate: true })
}

function outcomeOf(state: Exclude<DeviceGrant['state'], 'pending'>, isMine: boolean): DeviceOutcome {
  if (state === 'approved') return isMine ? 'connected' : 'used'
  return state
}

/** Runs a handler; who has typed too many wrong codes is told how long to wait. */
async function answering(
  { sessions }: Needs,
  context: Ctx,
  signedIn: SignedIn,
  handle: () => Promise<Response>,
): Promise<Response> {
  try {
    return await handle()
  } catch (error) {
    if (!(error instanceof AppViewError) || error.code !== 'login_blocked') throw error
    const seconds = error.retryAfterSeconds ?? 60
    context.header('retry-after', String(seconds))
    const page = messagePage(sessions.shell('/device', signedIn), {
      title: 'Too many wrong codes',
      text: `Codes cannot be guessed here. Wait ${seconds < 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`}, then type the one your terminal shows.`,
      link: { href: '/device', text: 'Type a code' },
    })
    return answerPage(context, page, { status: 429, isPrivate: true })
  }
}

function pathOf(code: string): string {
  return `/device?${new URLSearchParams({ code: cleanText(code, typedLengthMax) }).toString()}`
}
