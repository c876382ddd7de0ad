import type { Context, Hono } from 'hono'

import type { Form } from '../../http/forms.ts'
import { html, type Html } from '../../http/html.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import { avatarBytesMax } from '../services/avatars.ts'
import {
  pageDescriptionBytesMax,
  pageVersion,
  pictureOf,
  type PageChange,
} from '../services/repository-pages.ts'
import { answerPage, seeOther, type PageStatus } from './answer.ts'
import { messagePage } from './pages/errors.ts'
import { repositoryEditPage, type RepositoryEditView } from './pages/repository-edit.ts'
import type { RepositoryAddress } from './repository-address.ts'
import type { PagesNeeds, Visit } from './routes.ts'
import type { SignedIn } from './sessions.ts'
import { findOwnRepository, viewPageToEdit, type OwnRepository } from './views/own-repository.ts'

interface PageEditNeeds extends PagesNeeds, Pick<AppContext, 'repositoryPages'> {}

/** Text comes as up to three bytes a character where it is escaped, and the picture beside it. */
const uploadBytesMax = avatarBytesMax + pageDescriptionBytesMax

/** Where an owner describes a repository. */
export async function showPageEdit(visit: Visit, { path }: RepositoryAddress): Promise<Response | undefined> {
  const repository = await findOwnRepository(visit.needs, path)
  if (repository === undefined) return undefined
  const refused = answerNotOwn(visit, repository, `${repository.path}/-/edit`)
  if (refused !== undefined) return refused
  const shell = { ...visit.shell(repository.path), account: visit.signedIn as SignedIn }
  const view = await viewPageToEdit(visit.needs, repository)
  return answerPage(visit.context, repositoryEditPage(shell, view), { isPrivate: true })
}

/** For who is not signed in, the login; for who is somebody else, the way back. Undefined for the owner. */
export function answerNotOwn(
  { context, shell, signedIn }: Pick<Visit, 'context' | 'shell' | 'signedIn'>,
  { isOwn, owner, path }: OwnRepository,
  next: string,
): Response | Promise<Response> | undefined {
  if (isOwn) return undefined
  if (signedIn === undefined)
    return seeOther(context, `/auth/oauth/login?${new URLSearchParams({ next }).toString()}`)
  const page = messagePage(shell(path), {
    title: 'Not yours to change',
    text: `This repository belongs to ${owner.label}. Only its owner can change it.`,
    link: { href: path, text: 'Back to the repository' },
  })
  return answerPage(context, page, { status: 403, isPrivate: true })
}

/** The form of {@link showPageEdit}: shows how it will look, or writes it. Whatever fails, no text is lost. */
export function mountPageEdit(app: Hono<ServerEnv>, needs: PageEditNeeds): void {
  const { sessions } = needs
  app.post(
    '/pages/put',
    sessions.action(
      async (context, signedIn, form) => {
        const viewNeeds = { ...needs, viewer: signedIn.did }
        const repository = await findOwnRepository(viewNeeds, `${signedIn.did}/${form.text('repository')}`)
        if (repository === undefined)
          throw new AppViewError('repository_unknown', 'there is no such repository of yours')
        const filled: RepositoryEditView = {
          ...(await viewPageToEdit(viewNeeds, repository)),
          description: form.lines('description'),
          version: form.text('version'),
        }
        const answer = answerForm(needs, context, signedIn)
        const outcome = await take(needs, { form, filled, repository })
        return outcome === 'saved' ? seeOther(context, repository.path) : answer(outcome)
      },
      { uploadBytesMax },
    ),
  )
}

interface Shown {
  view: RepositoryEditView
  status: PageStatus
}

const answerForm =
  ({ sessions }: PageEditNeeds, context: Context<ServerEnv>, signedIn: SignedIn) =>
  ({ status, view }: Shown) => {
    const shell = sessions.signedInShell(view.path, signedIn)
    return answerPage(context, repositoryEditPage(shell, view), { status, isPrivate: true })
  }

/** What becomes of a form: it is written, or shown again with everything that was typed. */
async function take(
  needs: PageEditNeeds,
  { filled, form, repository }: { form: Form; filled: RepositoryEditView; repository: OwnRepository },
): Promise<Shown | 'saved'> {
  const { key, path } = repository
  const bytes = form.file('picture')
  const picture = form.isChecked('remove') ? 'none' : bytes === undefined ? 'same' : pictureOf(bytes)
  const errors = {
    ...(Buffer.byteLength(filled.description) > pageDescriptionBytesMax && {
      description: `This is too long: at most ${pageDescriptionBytesMax.toLocaleString('en')} bytes.`,
    }),
    ...((picture === undefined || (bytes?.byteLength ?? 0) > avatarBytesMax) && {
      picture: 'This is no PNG, JPEG or WebP of at most 3 MB. Choose another one.',
    }),
  }
  if (Object.keys(errors).length > 0 || picture === undefined)
    return { status: 422, view: { ...filled, errors } }
  if (form.text('action') === 'preview') {
    const preview = await needs.markdown.render(filled.description)
    const again =
      bytes === undefined ? {} : { errors: { picture: 'Choose the picture again before you save.' } }
    return { status: 200, view: { ...filled, preview, ...again } }
  }
  return write(needs, { filled, path, key, picture, isChosen: bytes !== undefined })
}

async function write(
  needs: PageEditNeeds,
  page: Pick<OwnRepository, 'key' | 'path'> & {
    filled: RepositoryEditView
    picture: PageChange['picture']
    isChosen: boolean
  },
): Promise<Shown | 'saved'> {
  const { filled, isChosen, key, path, picture } = page
  const { description, version } = filled
  const errors = isChosen ? { errors: { picture: 'Choose the picture again before you save.' } } : {}
  try {
    const change = { description: description.trimEnd(), picture, version }
    const theirs = await needs.repositoryPages.put(key.ownerDid, key.name, change)
    if (theirs === undefined) return 'saved'
    const problem = 'Somebody changed this page while you wrote, and nothing was saved. Take over from below what you want to keep; saving again replaces it.' // prettier-ignore
    const view = { ...filled, ...errors, problem, theirs: theirs.description, version: pageVersion(theirs) }
    return { status: 409, view }
  } catch (error) {
    if (!(error instanceof AppViewError)) throw error
    const isLost = error.code === 'session_lost'
    return {
      status: isLost ? 403 : error.code === 'rate_limited' ? 429 : 503,
      view: { ...filled, ...errors, problem: isLost ? signInAgain(path) : notSaved(error) },
    }
  }
}

function signInAgain(path: string): Html {
  const login = `/auth/oauth/login?${new URLSearchParams({ next: `${path}/-/edit` }).toString()}`
  return html`Nothing was saved: your server has ended the access it gave to this registry. Copy your text,
    <a href="${login}">sign in once more</a>, and paste it.`
}

const notSaved = ({ message }: AppViewError) =>
  `Nothing was saved: ${message}. Your text is below; try again in a moment.`
