import type { Context, Hono } from 'hono'

import type { Form } from '../../http/forms.ts'
import type { Html } from '../../http/html.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { AppContext } from '../context.ts'
import { answerPage, seeOther } from './answer.ts'
import { accountPage } from './pages/settings/account.ts'
import { messagePage } from './pages/errors.ts'
import { appPasswordsPage } from './pages/settings/app-passwords.ts'
import { deviceNamePage } from './pages/settings/device.ts'
import { devicesPage } from './pages/settings/devices.ts'
import type { SettingsShell } from './pages/settings/frame.ts'
import { signInsPage } from './pages/settings/sign-ins.ts'
import type { BrowserSessions, SignedIn } from './sessions.ts'
import { viewAccount, viewAppPasswords, viewDeviceName, viewDevices, viewSignIns } from './views/settings.ts'

export interface SettingsNeeds extends Pick<
  AppContext,
  'devices' | 'identities' | 'now' | 'pdsAccounts' | 'pdsSessions' | 'signOuts' | 'webSessions'
> {
  sessions: BrowserSessions
  baseUrl: string
  imageHost?: string | undefined
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
  mountSettingsPages(app, needs)
  mountSettingsForms(app, needs)
}

function mountSettingsPages(app: Hono<ServerEnv>, needs: SettingsNeeds): void {
  const { sessions } = needs
  const page = (
    path: string,
    show: (shell: SettingsShell, signedIn: SignedIn, done: string | undefined) => Promise<Html>,
  ) =>
    app.get(
      path,
      sessions.page(async (context, signedIn) => {
        const shell = sessions.signedInShell(path, signedIn)
        const done = doneTexts.get(context.req.query('done'))
        return answerPage(context, await show(shell, signedIn, done), { isPrivate: true })
      }),
    )
  page('/settings', async (shell, { did }) => accountPage(shell, await viewAccount(needs, did)))
  page('/settings/devices', async (shell, { did }, done) =>
    devicesPage(shell, { ...(await viewDevices(needs, did)), done }),
  )
  page('/settings/sign-ins', async (shell, signedIn, done) =>
    signInsPage(shell, { ...(await viewSignIns(needs, signedIn)), done }),
  )
  page('/settings/app-passwords', async (shell, signedIn, done) =>
    appPasswordsPage(shell, { ...(await viewAppPasswords(needs, signedIn)), done }),
  )
  app.get(
    '/settings/devices/:id',
    sessions.page((context, signedIn) =>
      answerDeviceName(needs, { context, signedIn, id: context.req.param('id') ?? '' }),
    ),
  )
}

/** An id that is not the account's own does nothing, and is answered like one that is: that is for the services to see. */
function mountSettingsForms(app: Hono<ServerEnv>, needs: SettingsNeeds): void {
  const { devices, sessions, signOuts, webSessions } = needs
  /** What it answers is where to go on. */
  const action = (path: string, act: (did: Did, form: Form) => Promise<string>) =>
    app.post(
      path,
      sessions.action(async (context, { did }, form) => seeOther(context, await act(did, form))),
    )
  action('/settings/devices/revoke', async (did, form) => {
    await devices.revoke(did, idIn(form))
    return '/settings/devices?done=revoked'
  })
  action('/settings/devices/revoke-all', async (did) => {
    await devices.revokeAll(did)
    return '/settings/devices?done=all-revoked'
  })
  action('/settings/sign-ins/end', async (did, form) => {
    await webSessions.delete(did, idIn(form))
    return '/settings/sign-ins?done=ended'
  })
  action('/settings/app-passwords/forget', async (did) => {
    await signOuts.forgetAppPasswords(did)
    return '/settings/app-passwords?done=forgotten'
  })
  app.post(
    '/settings/devices/rename',
    sessions.action(async (context, signedIn, form) => {
      const [id, name] = [idIn(form), form.text('name')]
      if (name === '') return answerDeviceName(needs, { context, signedIn, id, error: 'It needs a name.' })
      await devices.rename(signedIn.did, id, name)
      return seeOther(context, '/settings/devices?done=renamed')
    }),
  )
}

/** What a form is about. Empty, which is nothing's id, for what cannot be one: not every database takes any text. */
function idIn(form: Form): string {
  const id = form.text('id')
  return /^[\w-]{1,64}$/.test(id) ? id : ''
}

async function answerDeviceName(
  needs: SettingsNeeds,
  { context, error, id, signedIn }: { context: Ctx; signedIn: SignedIn; id: string; error?: string },
): Promise<Response> {
  const view = await viewDeviceName(needs, signedIn.did, id)
  if (view === undefined) {
    const shell = needs.sessions.shell('/settings/devices', signedIn)
    const page = messagePage(shell, {
      title: 'No such device',
      text: 'It is not paired with your account, or was revoked.',
      link: { href: '/settings/devices', text: 'See your devices' },
    })
    return answerPage(context, page, { status: 404, isPrivate: true })
  }
  const shell = needs.sessions.signedInShell('/settings/devices', signedIn)
  const page = deviceNamePage(shell, { ...view, ...(error !== undefined && { error }) })
  return answerPage(context, page, { status: error === undefined ? 200 : 422, isPrivate: true })
}
