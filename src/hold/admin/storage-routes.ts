import type { Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { logger } from '../../lib/log.ts'
import type { HoldContext } from '../context.ts'
import { adminAction, adminPage, answerAdminPage, seeOther, type Panel } from './call.ts'
import { storagePage } from './pages/storage.ts'

const log = logger('hold:admin')

type Needs = Pick<HoldContext, 'gc' | 'now'>

/** Garbage collection: preview, run, and how far it has come. */
export function mountStorage(app: Hono<ServerEnv>, panel: Panel, { gc, now }: Needs): void {
  app.get(
    '/admin/storage',
    adminPage(panel, async ({ account, context }) => {
      const notice =
        context.req.query('done') === 'busy'
          ? ({ kind: 'warm', text: 'A run goes on already; this is how far it has come.' } as const)
          : undefined
      const view = { progress: await gc.progress(), notice, now: now() }
      return answerAdminPage(context, storagePage(panel.shell, account, view))
    }),
  )

  app.post(
    '/admin/storage/collect',
    adminAction(panel, async ({ context, did }, form) => {
      // Only the word deletes: what cannot be read is a preview.
      const isDryRun = form.text('mode') !== 'run'
      const isBegun = await gc.start({ isDryRun })
      if (isBegun) log.info({ did, isDryRun }, 'garbage collection was asked for')
      return seeOther(context, isBegun ? '/admin/storage' : '/admin/storage?done=busy')
    }),
  )
}
