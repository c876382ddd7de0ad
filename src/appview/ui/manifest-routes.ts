import { cleanText } from '../../lib/format.ts'
import { isDigest } from '../../protocol/oci/digest.ts'
import { AtprotoError } from '../../atproto/errors.ts'
import { AppViewError } from '../errors.ts'
import type { Blobs } from '../services/blobs.ts'
import type { ImageConfigs } from '../services/image-configs.ts'
import type { ManifestLookup } from '../services/manifest-lookup.ts'
import { answerPage } from './answer.ts'
import { manifestDiffPage } from './pages/manifest-diff.ts'
import { missingManifestPage } from './pages/missing-manifest.ts'
import { manifestPage } from './pages/manifest.ts'
import { rawManifestPage } from './pages/raw-manifest.ts'
import { tagHistoryPage } from './pages/tag-history.ts'
import type { RepositoryAddress } from './repository-address.ts'
import type { Visit } from './routes.ts'
import { viewManifestDiff } from './views/manifest-diff.ts'
import { viewManifestPage, type ManifestPageNeeds } from './views/manifest-page.ts'
import { registryAddress } from './views/pull-commands.ts'
import { findRawManifest, viewRawManifest } from './views/raw-manifest.ts'
import { findRepositoryOf, type ShownRepository } from './views/shown-repository.ts'
import { viewTagHistory } from './views/tag-history.ts'

/** What the pages about manifests need besides what all pages do. */
export interface ManifestPagesNeeds {
  imageConfigs: Pick<ImageConfigs, 'read'>
  manifestLookup: Pick<ManifestLookup, 'findBytes'>
  blobs: Pick<Blobs, 'find' | 'locate'>
}

const namedLengthMax = 120

const viewNeeds = ({ needs, signedIn }: Visit): ManifestPageNeeds => ({
  ...needs,
  registry: registryAddress(needs),
  user: signedIn?.handle,
})

/** `/r/<owner>/<name>/manifests/<digest>` */
export async function showManifest(
  visit: Visit,
  { path, reference }: RepositoryAddress,
): Promise<Response | undefined> {
  const { context, needs, shell } = visit
  const repository = await findRepositoryOf(needs, path)
  if (repository === undefined) return undefined
  const view = isDigest(reference)
    ? await viewManifestPage(viewNeeds(visit), repository, { digest: reference })
    : undefined
  if (view === undefined) return answerMissingManifest(visit, repository, reference)
  return answerPage(context, manifestPage(shell(view.path), view))
}

/** `/r/<owner>/<name>/tags/<tag>`; nothing when there is no such tag: then `tags` may be a part of a name. */
export async function showTag(
  visit: Visit,
  { path, reference }: RepositoryAddress,
): Promise<Response | undefined> {
  const { context, needs, shell } = visit
  const repository = await findRepositoryOf(needs, path)
  if (repository === undefined) return undefined
  const view = await viewManifestPage(viewNeeds(visit), repository, { tag: reference })
  return view && answerPage(context, manifestPage(shell(view.path), view))
}

/** `/r/<owner>/<name>/-/raw/<digest>`, with `?download` the exact bytes. */
export async function showRawManifest(
  visit: Visit,
  { path, reference }: RepositoryAddress,
): Promise<Response | undefined> {
  const { context, needs, shell } = visit
  const repository = await findRepositoryOf(needs, path)
  if (repository === undefined) return undefined
  try {
    const found = await findRawManifest(needs, repository, reference)
    if (found === undefined) return await answerMissingManifest(visit, repository, reference)
    const { bytes, row } = found
    if (bytes === undefined) return await answerUnreadable(visit, repository, 'account’s data server', 404)
    if (context.req.query('download') !== undefined) return download(bytes, row.digest)
    const view = await viewRawManifest(needs, repository, { bytes, digest: row.digest })
    return await answerPage(context, rawManifestPage(shell(view.path), view))
  } catch (error) {
    if (!isOutage(error)) throw error
    return answerUnreadable(visit, repository, 'account’s data server', 503)
  }
}

/** `/r/<owner>/<name>/-/history/<tag>`, with `?before=` the mark of a move. */
export async function showTagHistory(
  visit: Visit,
  address: RepositoryAddress,
): Promise<Response | undefined> {
  const { context, needs, shell } = visit
  const repository = await findRepositoryOf(needs, address.path)
  if (repository === undefined) return undefined
  const options = { tag: address.reference, before: context.req.query('before') }
  const view = await viewTagHistory(needs, repository, options)
  if (view === undefined) return answerMissingTag(visit, address)
  return answerPage(context, tagHistoryPage(shell(view.path), view))
}

/** `/r/<owner>/<name>/-/diff?from=<tag or digest>&to=<tag or digest>` */
export async function showDiff(visit: Visit, { path }: RepositoryAddress): Promise<Response | undefined> {
  const { context, needs, shell } = visit
  const repository = await findRepositoryOf(needs, path)
  if (repository === undefined) return undefined
  const texts = { from: context.req.query('from') ?? '', to: context.req.query('to') ?? '' }
  const view = await viewManifestDiff(viewNeeds(visit), repository, texts)
  const isMissing = [view.from, view.to].some(({ found, text }) => text !== '' && found === undefined)
  return answerPage(context, manifestDiffPage(shell(view.path), view), { status: isMissing ? 404 : 200 })
}

/** `/r/<owner>/<name>/-/blob/<digest>`: a layer or file, from the hold that keeps it. */
export async function showBlob(
  visit: Visit,
  { path, reference }: RepositoryAddress,
): Promise<Response | undefined> {
  const { context, needs } = visit
  const repository = await findRepositoryOf(needs, path)
  if (repository === undefined) return undefined
  const { blobs, viewer } = needs
  try {
    const link = isDigest(reference) ? await blobs.find(repository.key, reference, viewer) : undefined
    const location = link && (await blobs.locate(repository.key, link, viewer))
    if (location === undefined) return await answerMissingBlob(visit, repository, reference)
    context.header('cache-control', 'no-store')
    context.header('referrer-policy', 'no-referrer')
    return context.redirect(location.url, 302)
  } catch (error) {
    if (!isOutage(error)) throw error
    return answerUnreadable(visit, repository, 'hold', 503)
  }
}

/** Bytes of a stranger, under our own address: nothing a browser would run. */
const download = (bytes: Uint8Array, digest: string): Response =>
  new Response(new Uint8Array(bytes), {
    headers: {
      'content-type': 'application/json',
      'content-disposition': `attachment; filename="${digest.replace(':', '-')}.json"`,
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
      'cache-control': 'private, no-cache',
      vary: 'Cookie',
    },
  })

const isOutage = (error: unknown): boolean => error instanceof AppViewError || error instanceof AtprotoError

function answerUnreadable(
  { context, shell }: Visit,
  { path }: ShownRepository,
  where: string,
  status: 404 | 503,
): Response | Promise<Response> {
  const page = missingManifestPage(shell(path), {
    title: 'Not to be read just now',
    status,
    named: '',
    advice:
      status === 404
        ? `The ${where} does not have these bytes: the record was written by a program that did not keep them.`
        : `The ${where} did not answer, or did not let you read. Try again in a moment.`,
    links: [{ path, text: 'See the repository' }],
  })
  return answerPage(context, page, { status })
}

function answerMissingBlob(
  { context, shell }: Visit,
  { path }: ShownRepository,
  reference: string,
): Response | Promise<Response> {
  const page = missingManifestPage(shell(path), {
    title: 'No such layer or file',
    named: cleanText(reference, namedLengthMax),
    advice: 'The repository names no such blob, its hold has lost it, or it is not for you to read.',
    links: [{ path, text: 'See the repository' }],
  })
  return answerPage(context, page, { status: 404 })
}

function answerMissingManifest(
  { context, shell }: Visit,
  { path }: ShownRepository,
  reference: string,
): Response | Promise<Response> {
  const page = missingManifestPage(shell(path), {
    title: 'No such manifest',
    named: cleanText(reference, namedLengthMax),
    advice:
      'The repository has no manifest of this digest, or none that you may see. It may have been deleted, or pushed to another repository.',
    links: [{ path, text: 'See the repository' }],
  })
  return answerPage(context, page, { status: 404 })
}

/** A tag that is not there; nothing when the repository is not there either. */
export async function answerMissingTag(
  { context, needs, shell }: Visit,
  address: RepositoryAddress,
): Promise<Response | undefined> {
  const repository = await findRepositoryOf(needs, address.path)
  if (repository === undefined) return undefined
  const { path } = repository
  const history = await viewTagHistory(needs, repository, { tag: address.reference, before: undefined })
  const page = missingManifestPage(shell(path), {
    title: 'No such tag',
    named: cleanText(address.reference, namedLengthMax),
    advice: 'The repository has no tag of this name, or none that you may see. It may have been deleted.',
    links: [
      { path: `${path}#tags`, text: 'See its tags' },
      ...(history === undefined ? [] : [{ path: history.path, text: 'See where it pointed' }]),
    ],
  })
  return answerPage(context, page, { status: 404 })
}
