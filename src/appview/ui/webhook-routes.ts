import type { Context, Hono } from 'hono'

import type { Form } from '../../http/forms.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { waitAtMost } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import type { AppContext } from '../context.ts'
import { answerPage, seeOther } from './answer.ts'
import { messagePage } from './pages/errors.ts'
import { deliveryPage } from './pages/settings/webhook-delivery.ts'
import { webhookSecretPage } from './pages/settings/webhook-secret.ts'
import { webhookPage } from './pages/settings/webhook.ts'
import { webhooksPage, type WebhookFields } from './pages/settings/webhooks.ts'
import type { BrowserSessions, SignedIn } from './sessions.ts'
import { viewDelivery, viewWebhook, viewWebhooks } from './views/webhooks.ts'

export interface WebhookPagesNeeds extends Pick<AppContext, 'db' | 'now' | 'webhookDeliveries' | 'webhooks'> {
  sessions: BrowserSessions
}

type Ctx = Context<ServerEnv>

const listPath = '/settings/webhooks'
/** How long a page waits for what came of a delivery that its reader asked for. */
const patienceMs = 3000

/** What a form led to, by the word that stands in the address after it. */
const doneTexts: ReadonlyMap<string | undefined, string> = new Map([
  ['deleted', 'Deleted. What was waiting for it is not sent.'],
  ['enabled', 'Enabled.'],
  ['disabled', 'Disabled. It is told nothing until you enable it again.'],
  ['sent', 'Sent. What came of it is the first in the log.'],
])

/** Whom somebody wants told of pushes and scans, and what was told. */
export function mountWebhooks(app: Hono<ServerEnv>, needs: WebhookPagesNeeds): void {
  const { sessions } = needs
  const page = (path: string, show: (context: Ctx, signedIn: SignedIn) => Promise<Response>) =>
    app.get(path, sessions.page(show))
  page(listPath, (context, signedIn) => answerList(needs, context, signedIn))
  page(`${listPath}/:id`, async (context, signedIn) => {
    const view = await viewWebhook(needs, signedIn.did, idOf(context.req.param('id')))
    if (view === undefined) return answerNone(needs, context, signedIn)
    const done = doneTexts.get(context.req.query('done'))
    const shell = sessions.signedInShell(`${listPath}/${view.webhook.id}`, signedIn)
    return answerPage(context, webhookPage(shell, { ...view, done }), { isPrivate: true })
  })
  page(`${listPath}/:id/:delivery`, async (context, signedIn) => {
    const { delivery, id } = context.req.param() as { delivery: string; id: string }
    const view = await viewDelivery(needs, signedIn.did, { id: idOf(id), deliveryId: idOf(delivery) })
    if (view === undefined) return answerNone(needs, context, signedIn)
    const shell = sessions.signedInShell(`${listPath}/${view.webhook.id}`, signedIn)
    return answerPage(context, deliveryPage(shell, view), { isPrivate: true })
  })
  mountWebhookForms(app, needs)
}

/** An id that is not the account's own does nothing, and is answered like one that was deleted. */
function mountWebhookForms(app: Hono<ServerEnv>, needs: WebhookPagesNeeds): void {
  const { sessions, webhooks } = needs
  const action = (path: string, act: (context: Ctx, signedIn: SignedIn, form: Form) => Promise<Response>) =>
    app.post(`${listPath}/${path}`, sessions.action(act))

  action('add', (context, signedIn, form) => addWebhook(needs, context, signedIn, form))
  action('enable', async (context, { did }, form) => {
    const id = idOf(form.text('id'))
    await webhooks.setEnabled(did, id, true)
    return seeOther(context, `${listPath}/${id}?done=enabled`)
  })
  action('disable', async (context, { did }, form) => {
    const id = idOf(form.text('id'))
    await webhooks.setEnabled(did, id, false)
    return seeOther(context, `${listPath}/${id}?done=disabled`)
  })
  action('delete', async (context, { did }, form) => {
    await webhooks.delete(did, idOf(form.text('id')))
    return seeOther(context, `${listPath}?done=deleted`)
  })
  action('rotate', async (context, signedIn, form) => {
    const id = idOf(form.text('id'))
    const secret = await webhooks.rotateSecret(signedIn.did, id)
    if (secret === undefined) return answerNone(needs, context, signedIn)
    const shell = sessions.signedInShell(`${listPath}/${id}`, signedIn)
    return answerPage(context, webhookSecretPage(shell, { id, secret, isNew: false }), { isPrivate: true })
  })
  action('test', async (context, signedIn, form) => {
    const id = idOf(form.text('id'))
    return answerSent(needs, context, signedIn, { id, deliveryId: await webhooks.test(signedIn.did, id) })
  })
  action('redeliver', async (context, signedIn, form) => {
    const [id, before] = [idOf(form.text('id')), idOf(form.text('delivery'))]
    const deliveryId = await webhooks.redeliver(signedIn.did, id, before)
    return answerSent(needs, context, signedIn, { id, deliveryId })
  })
}

async function addWebhook(
  needs: WebhookPagesNeeds,
  context: Ctx,
  signedIn: SignedIn,
  form: Form,
): Promise<Response> {
  const fields = {
    id: idOf(form.text('id')) || randomId(),
    url: form.text('url'),
    triggers: form.all('trigger'),
    repository: form.text('repository'),
  }
  const made = await needs.webhooks.create(signedIn.did, fields)
  if (!('form' in made)) return answerList(needs, context, signedIn, { ...fields, problems: made })
  // The services of chats check no signature, and the second of two clicks made nothing.
  if (made.form !== 'json' || made.secret === undefined) return seeOther(context, `${listPath}/${made.id}`)
  const shell = needs.sessions.signedInShell(`${listPath}/${made.id}`, signedIn)
  const page = webhookSecretPage(shell, { id: made.id, secret: made.secret, isNew: true })
  return answerPage(context, page, { isPrivate: true })
}

async function answerList(
  needs: WebhookPagesNeeds,
  context: Ctx,
  signedIn: SignedIn,
  fields?: WebhookFields,
): Promise<Response> {
  const view = await viewWebhooks(needs, signedIn.did)
  const shell = needs.sessions.signedInShell(listPath, signedIn)
  const done = doneTexts.get(context.req.query('done'))
  const page = webhooksPage(shell, { ...view, done, fields: fields ?? emptyFields() })
  return answerPage(context, page, { status: fields === undefined ? 200 : 422, isPrivate: true })
}

const emptyFields = (): WebhookFields => ({
  id: randomId(),
  url: '',
  triggers: ['push'],
  repository: '',
  problems: {},
})

/** Back to the log, where what came of the delivery stands if it came soon. */
async function answerSent(
  needs: WebhookPagesNeeds,
  context: Ctx,
  signedIn: SignedIn,
  { deliveryId, id }: { id: string; deliveryId: string | undefined },
): Promise<Response> {
  if (deliveryId === undefined) return answerNone(needs, context, signedIn)
  await waitAtMost(patienceMs, needs.webhookDeliveries.tryNow(deliveryId))
  return seeOther(context, `${listPath}/${id}?done=sent`)
}

function answerNone(
  { sessions }: WebhookPagesNeeds,
  context: Ctx,
  signedIn: SignedIn,
): Response | Promise<Response> {
  const page = messagePage(sessions.shell(listPath, signedIn), {
    title: 'No such webhook',
    text: 'Your account has none of this address, or it was deleted. Messages are kept for 30 days.',
    link: { href: listPath, text: 'See your webhooks' },
  })
  return answerPage(context, page, { status: 404, isPrivate: true })
}

/** Empty, which is nothing's id, for what cannot be one: not every database takes any text. */
function idOf(text: string | undefined): string {
  return text !== undefined && /^[\w-]{16,64}$/.test(text) ? text : ''
}
