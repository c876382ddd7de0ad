import type { Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { AttemptLimit } from '../../lib/attempt-limit.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import { answerPage, seeOther } from './answer.ts'
import { deletionPage } from './pages/deletion.ts'
import { messagePage } from './pages/errors.ts'
import { dataPage, type DeletionForm } from './pages/settings/data.ts'
import type { BrowserSessions, SignedIn } from './sessions.ts'
import { viewDeletion } from './views/deletion.ts'

type Needs = Pick<AppContext, 'dataDeletions' | 'dataExports' | 'log' | 'now'> & { sessions: BrowserSessions }

/** All rows of an account are read for one, and all its holds asked. */
const exportLimit = { countMax: 3, everySeconds: 300 }
const reloadSeconds = 4

/** Export and deletion of all that is kept about an account. */
export function mountData(app: Hono<ServerEnv>, needs: Needs): void {
  mountExport(app, needs)
  mountDeletion(app, needs)
}

function mountExport(app: Hono<ServerEnv>, { dataExports, now, sessions }: Needs): void {
  const limit = new AttemptLimit({ now, ...exportLimit })
  app.post(
    '/settings/data/export',
    sessions.action(async (context, { did, handle }) => {
      const waitSeconds = limit.take(did)
      if (waitSeconds !== undefined) {
        throw new AppViewError(
          'rate_limited',
          'there were several exports of your data lately; wait a few minutes',
          {
            retryAfterSeconds: waitSeconds,
          },
        )
      }
      const name = `atcr-${(handle ?? did).replaceAll(/[^a-z0-9.-]/gi, '-')}-${now().toISOString().slice(0, 10)}.json`
      return context.body(ReadableStream.from(encoded(dataExports.write(did))), 200, {
        'content-type': 'application/json',
        'content-disposition': `attachment; filename="${name}"`,
        'cache-control': 'no-store',
      })
    }),
  )
}

function mountDeletion(app: Hono<ServerEnv>, { dataDeletions, log, sessions }: Needs): void {
  const pageFor = async (signedIn: SignedIn, form?: DeletionForm) => {
    const id = await dataDeletions.findUnderWay(signedIn.did)
    const underWay = id === undefined ? undefined : { path: `/deletions/${id}` }
    return dataPage(sessions.signedInShell('/settings/data', signedIn), { underWay, ...(form && { form }) })
  }
  app.get(
    '/settings/data',
    sessions.page(async (context, signedIn) =>
      answerPage(context, await pageFor(signedIn), { isPrivate: true }),
    ),
  )
  app.post(
    '/settings/data/delete',
    sessions.action(async (context, signedIn, form) => {
      const typed = form.text('handle')
      const [wantsRecords, wantsIndex] = [form.isChecked('records'), form.isChecked('index')]
      const name = signedIn.handle ?? signedIn.did
      if (typed.toLowerCase().replace(/^@/, '') !== name) {
        const error = `That is not ${name}. Nothing was deleted.`
        const page = await pageFor(signedIn, { handle: typed, wantsRecords, wantsIndex, error })
        return answerPage(context, page, { status: 422, isPrivate: true })
      }
      const id = await dataDeletions.begin(signedIn.did, { records: wantsRecords, index: wantsIndex })
      log.info({ did: signedIn.did }, 'an account has its data deleted')
      sessions.clear(context)
      return seeOther(context, `/deletions/${id}`)
    }),
  )
  app.get('/deletions/:id', async (context) => {
    const deletion = await dataDeletions.find(context.req.param('id'))
    const shell = sessions.shell('/deletions', await sessions.find(context))
    if (deletion === undefined) {
      const page = messagePage(shell, {
        title: 'No such deletion',
        text: 'The address is not one of ours, or the deletion ended more than a week ago.',
      })
      return answerPage(context, page, { status: 404, isPrivate: true })
    }
    const view = viewDeletion(deletion)
    if (view.isUnderWay) context.header('refresh', String(reloadSeconds))
    return answerPage(context, deletionPage(shell, view), { isPrivate: true })
  })
}

async function* encoded(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const text of texts) yield Buffer.from(text)
}
