import type { Context, Hono } from 'hono'

import { didWebOfUrl, isDid, normalizeDid, type Did } from '../../atproto/syntax.ts'
import { clientAddressOf } from '../../http/client-address.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { AttemptLimit } from '../../lib/attempt-limit.ts'
import { cleanText } from '../../lib/format.ts'
import { networkOf } from '../../lib/networks.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import { answerPage, seeOther } from './answer.ts'
import { messagePage, unknownHoldPage } from './pages/errors.ts'
import { holdPage } from './pages/hold.ts'
import type { Shell } from './pages/layout.ts'
import type { BrowserSessions } from './sessions.ts'
import type { HealthNeeds } from './views/health.ts'
import { holdView } from './views/hold-name.ts'
import { isHoldKnown, viewHold } from './views/hold-page.ts'

export interface HoldPagesNeeds extends HealthNeeds {
  holds: Pick<AppContext['holds'], 'findPermissions' | 'getCaptain' | 'join'>
  identities: Pick<AppContext['identities'], 'resolveDid'>
  sessions: BrowserSessions
}

const didTextMax = 300
/** Holds that the index does not know, for one network: each has us call whatever server its name leads to. */
const unknownLimit = { countMax: 20, everySeconds: 3 }

/** What a form led to, by the word that stands in the address after it. */
const doneTexts: ReadonlyMap<string | undefined, string> = new Map([
  ['joined', 'You are crew of this hold now.'],
])

/** A hold's page, and joining its crew. */
export function mountHolds(app: Hono<ServerEnv>, needs: HoldPagesNeeds): void {
  const { holds, now, sessions } = needs
  const limit = new AttemptLimit({ now, ...unknownLimit })
  app.get('/h/:did', async (context) => {
    const text = context.req.param('did')
    const did = readHold(text)
    // Where a hold is, as people say it.
    if (did === undefined && isHost(text))
      return context.redirect(`/h/${didWebOfUrl(`https://${text}`)}`, 302)
    const signedIn = await sessions.find(context)
    const isKnown = did === undefined || (await isHoldKnown(needs, did))
    const waitSeconds = isKnown ? undefined : limit.take(networkOf(clientAddressOf(context)))
    if (waitSeconds !== undefined) return answerBusy(sessions.shell('/', signedIn), context, waitSeconds)
    const view = did && (await viewHold({ ...needs, viewer: signedIn?.did }, did))
    if (view === undefined) return answerUnknown(context, needs, text)
    const done = doneTexts.get(context.req.query('done'))
    return answerPage(context, holdPage(sessions.shell(view.hold.path, signedIn), { ...view, done }))
  })
  app.post(
    '/holds/join',
    sessions.action(async (context, signedIn, form) => {
      const did = readHold(form.text('hold'))
      if (did === undefined) throw new AppViewError('hold_unknown', 'this is the DID of no hold')
      await holds.join(did, signedIn.did)
      return seeOther(context, `${holdView(did).path}?done=joined`)
    }),
  )
}

function answerBusy(
  shell: Shell,
  context: Context<ServerEnv>,
  waitSeconds: number,
): Response | Promise<Response> {
  context.header('retry-after', String(waitSeconds))
  const page = messagePage(shell, {
    title: 'Too many holds at once',
    text: `Your network asked for many holds that this registry has to look up first. Load the page again in ${waitSeconds} s.`,
  })
  return answerPage(context, page, { status: 429 })
}

async function answerUnknown(
  context: Context<ServerEnv>,
  { sessions }: HoldPagesNeeds,
  text: string,
): Promise<Response> {
  const shell = sessions.shell('/', await sessions.find(context))
  return answerPage(context, unknownHoldPage(shell, cleanText(text, didTextMax)), { status: 404 })
}

/** A DID with what a hold's can have in it; the port of a did:web may have lost its encoding in an address. */
export function readHold(text: string): Did | undefined {
  return text.length <= didTextMax && isDid(text) && !/%(?!3a)/i.test(text) ? normalizeDid(text) : undefined
}

function isHost(text: string): boolean {
  return text.length <= didTextMax && /^[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d{1,5})?$/i.test(text)
}
