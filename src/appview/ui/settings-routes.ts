import type { Context, Hono } from 'hono'

import type { Form } from '../../http/forms.ts'
import type { Html } from '../../http/html.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { answerPage, seeOther } from './answer.ts'
import { accountPage } from './pages/settings/account.ts'
import { appPasswordsPage } from './pages/settings/app-passwords.ts'
import { devicesPage } from './pages/settings/devices.ts'
import { signInsPage } from './pages/settings/sign-ins.ts'
import type { BrowserSessions, SignedIn } from './sessions.ts'
import { viewAccount, viewAppPasswords, viewDevices, viewSignIns } from './views/settings.ts'

export interface SettingsNeeds extends Pick<
  AppContext,
  'devices' | 'identities' | 'now' | 'pdsAccounts' | 'webSessions'
> {
  sessions: BrowserSessions
  baseUrl: string
}

type Ctx = Context<ServerEnv>

/** What a form led to, by the word that stands in the address after it. */
const doneTexts: ReadonlyMap<string | undefined, string> = new Map([
  ['renamed', 'Renamed.'],
  ['revoked', 'Revoked. It gets no more access; what it has ends within five minutes.'],
  ['all-revoked', 'All devices are revoked. What access they have ends within five minutes.'],
  ['ended', 'Signed out there.'],
  ['forgotten', 'Forgotten. At its next use your server is asked about the password.'],
])

/** What somebody who is signed in may see and change of their account here. */
export function mountSettings(app: Hono<ServerEnv>, needs: SettingsNeeds): void {
  const { sessions } = needs
  const page = (path: string, show: (signedIn: SignedIn, done: string | undefined) => Promise<Html>) =>
    app.get(
      path,
      sessions.page(async (context, signedIn) =>
        answerPage(context, await show(signedIn, doneTexts.get(context.req.query('done'))), {
          isPrivate: true,
        }),
      ),
    )
  const action = (path: string, act: (call: Action) => Promise<string | Response>) =>
    app.post(
      path,
      sessions.action(async (context, signedIn, form) => {
        const done = await act({ context, signedIn, form, id: context.req.param('id') ?? '' })
        return typeof done === 'string' ? seeOther(context, done) : done
      }),
    )

  page('/settings', async (signedIn) => {
    const view = await viewAccount(needs, signedIn.did)
    return accountPage(sessions.signedInShell('/settings', signedIn), view)
  })
  page('/settings/devices', (signedIn, done) => showDevices(needs, signedIn, { done }))
  page('/settings/sign-ins', async (signedIn, done) => {
    const view = await viewSignIns(needs, signedIn)
    return signInsPage(sessions.signedInShell('/settings/sign-ins', signedIn), { ...view, done })
  })
  page('/settings/app-passwords', async (signedIn, done) => {
    const view = await viewAppPasswords(needs, signedIn)
    return appPasswordsPage(sessions.signedInShell('/settings/app-passwords', signedIn), { ...view, done })
  })

  action('/settings/devices/revoke-all', async ({ signedIn: { did } }) => {
    await needs.devices.revokeAll(did)
    return '/settings/devices?done=all-revoked'
  })
  action('/settings/devices/:id/revoke', async ({ id, signedIn: { did } }) => {
    await needs.devices.revoke(did, id)
    return '/settings/devices?done=revoked'
  })
  action('/settings/devices/:id/rename', (call) => rename(needs, call))
  action('/settings/sign-ins/:id/end', async ({ id, signedIn: { did } }) => {
    await needs.webSessions.delete(did, id)
    return '/settings/sign-ins?done=ended'
  })
  action('/settings/app-passwords/forget', async ({ signedIn: { did } }) => {
    await needs.pdsAccounts.forget(did)
    return '/settings/app-passwords?done=forgotten'
  })
}

interface Action {
  context: Ctx
  signedIn: SignedIn
  form: Form
  /** Of what the path names; of the account or not, that is for the services to see. */
  id: string
}

async function rename(
  needs: SettingsNeeds,
  { context, form, id, signedIn }: Action,
): Promise<string | Response> {
  const name = form.text('name')
  if (name !== '') {
    await needs.devices.rename(signedIn.did, id, name)
    return '/settings/devices?done=renamed'
  }
  const refused = { id, error: 'A device needs a name.' }
  const page = await showDevices(needs, signedIn, { done: undefined, refused })
  return answerPage(context, page, { status: 422, isPrivate: true })
}

async function showDevices(
  needs: SettingsNeeds,
  signedIn: SignedIn,
  shown: { done: string | undefined; refused?: { id: string; error: string } },
): Promise<Html> {
  const view = await viewDevices(needs, signedIn.did)
  const shell = needs.sessions.signedInShell('/settings/devices', signedIn)
  return devicesPage(shell, { ...view, ...shown })
}
