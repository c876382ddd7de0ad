import type { Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { isDigest } from '../../protocol/oci/digest.ts'
import { isTag } from '../../protocol/oci/reference.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import { answerPage, seeOther } from './answer.ts'
import { answerNotOwn } from './page-edit-routes.ts'
import { deletionPage } from './pages/reference-deletion.ts'
import type { RepositoryAddress } from './repository-address.ts'
import type { PagesNeeds, Visit } from './routes.ts'
import type { SignedIn } from './sessions.ts'
import { tagCountMax, viewDeletion } from './views/reference-deletion.ts'
import { findOwnRepository } from './views/own-repository.ts'

interface DeletionNeeds extends PagesNeeds, Pick<AppContext, 'manifests'> {}

/** What deleting tags (`?tag=`, several) or a manifest (`?digest=`) means, to be confirmed. */
export async function showDeletion(visit: Visit, { path }: RepositoryAddress): Promise<Response | undefined> {
  const { context, needs, shell, signedIn } = visit
  const repository = await findOwnRepository(needs, path)
  if (repository === undefined) return undefined
  const refused = answerNotOwn(visit, repository, repository.path)
  if (refused !== undefined) return refused
  const { digest = '' } = context.req.query()
  const view = await viewDeletion(needs, repository, {
    tags: (context.req.queries('tag') ?? []).filter(isTag),
    digest: isDigest(digest) ? digest : undefined,
  })
  // Nothing was chosen, or it is gone already.
  if (view === undefined) return seeOther(context, `${repository.path}#tags`)
  const page = deletionPage({ ...shell(repository.path), account: signedIn as SignedIn }, view)
  return answerPage(context, page, { isPrivate: true })
}

/** The form of {@link showDeletion}. What is gone already is no failure. */
export function mountReferenceDeletion(app: Hono<ServerEnv>, needs: DeletionNeeds): void {
  app.post(
    '/references/delete',
    needs.sessions.action(async (context, { did }, form) => {
      const viewNeeds = { ...needs, viewer: did }
      // Whatever the form says, the repository is one of whoever sent it.
      const path = `${did}/${form.text('repository')}`
      const repository = await findOwnRepository(viewNeeds, path)
      if (repository === undefined)
        throw new AppViewError('repository_unknown', 'there is no such repository of yours')
      const digest = form.text('digest')
      if (isDigest(digest)) {
        await needs.manifests.delete(repository.key, { kind: 'digest', digest })
      }
      for (const tag of form.all('tag').filter(isTag).slice(0, tagCountMax)) {
        await needs.manifests.delete(repository.key, { kind: 'tag', tag })
      }
      needs.log.info({ did, repository: repository.key.name }, 'references were deleted on the pages')
      const isLeft = (await findOwnRepository(viewNeeds, path)) !== undefined
      return seeOther(context, isLeft ? `${repository.path}#tags` : repository.owner.path)
    }),
  )
}
