import type { Hono } from 'hono'

import type { Form } from '../../http/forms.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import { answerPage, seeOther } from './answer.ts'
import { readHold } from './hold-routes.ts'
import { storagePage } from './pages/settings/storage.ts'
import type { BrowserSessions, SignedIn } from './sessions.ts'
import type { HealthNeeds } from './views/health.ts'
import { hasPdsSession } from '../services/pds-access.ts'
import { viewStorage } from './views/storage.ts'

export interface StorageNeeds
  extends HealthNeeds, Pick<AppContext, 'holdQuotas' | 'holds' | 'pdsSessions' | 'sailorSettings'> {
  sessions: BrowserSessions
}

const path = '/settings/storage'

/** What a form led to, by the word that stands in the address after it. */
const doneTexts: ReadonlyMap<string | undefined, string> = new Map([
  ['chosen', 'Saved. Your next push goes there.'],
  ['none', 'Saved. Pushes are refused until you choose a hold.'],
  ['removes', 'Saved. What a tag leaves behind is removed from now on.'],
  ['keeps', 'Saved. What a tag leaves behind stays.'],
])

/** Where an account's pushes go, what it keeps where, and what becomes of what no tag names. */
export function mountStorage(app: Hono<ServerEnv>, needs: StorageNeeds): void {
  const { sailorSettings, sessions } = needs
  app.get(
    path,
    sessions.page(async (context, signedIn) => {
      const [view, hasAccess] = await Promise.all([
        viewStorage(needs, signedIn.did),
        hasPdsSession(needs.pdsSessions, signedIn.did),
      ])
      const done = doneTexts.get(context.req.query('done'))
      const page = storagePage(sessions.signedInShell(path, signedIn), { ...view, hasAccess, done })
      return answerPage(context, page, { isPrivate: true })
    }),
  )
  app.post(
    `${path}/hold`,
    sessions.action(async (context, signedIn, form) =>
      seeOther(context, `${path}?done=${await choose(needs, signedIn, form)}`),
    ),
  )
  app.post(
    `${path}/untagged`,
    sessions.action(async (context, { did }, form) => {
      const isOn = form.isChecked('remove')
      await sailorSettings.setAutoRemove(did, isOn)
      return seeOther(context, `${path}?done=${isOn ? 'removes' : 'keeps'}`)
    }),
  )
}

async function choose({ sailorSettings }: StorageNeeds, { did }: SignedIn, form: Form): Promise<string> {
  const chosen = form.text('hold')
  if (chosen === 'none') {
    await sailorSettings.optOut(did)
    return 'none'
  }
  const holdDid = readHold(chosen === 'other' ? form.text('other') : chosen)
  if (holdDid === undefined) {
    throw new AppViewError('hold_unknown', 'a hold is named by its DID, such as did:web:hold.example')
  }
  await sailorSettings.setDefaultHold(did, holdDid)
  return 'chosen'
}
