import type { Context, Hono } from 'hono'

import { isDid, normalizeDid } from '../../atproto/syntax.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { ImageType } from '../../lib/image-type.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'

/** Pictures of strangers, under our own address: a page loads nothing from anywhere else. */
export function mountPictures(app: Hono<ServerEnv>, { avatars }: Pick<AppContext, 'avatars'>): void {
  app.get('/avatar/:did/:cid', async (context) => {
    const { did, cid } = context.req.param()
    if (!isDid(did) || !/^b[a-z2-7]{20,100}$/.test(cid)) return answerAbsent(context)
    return answering(context, () => avatars.find(normalizeDid(did), cid))
  })
}

async function answering(
  context: Context<ServerEnv>,
  find: () => Promise<{ bytes: Uint8Array; type: ImageType } | undefined>,
): Promise<Response> {
  try {
    const picture = await find()
    if (picture === undefined) return answerAbsent(context)
    return context.body(picture.bytes as Uint8Array<ArrayBuffer>, 200, {
      'content-type': picture.type,
      // What is behind the address never changes: it names the bytes.
      'cache-control': 'public, max-age=31536000, immutable',
      ...harmless,
    })
  } catch (error) {
    if (!(error instanceof AppViewError)) throw error
    return context.body('not to be had just now', 503, { 'cache-control': 'no-store', ...harmless })
  }
}

/** Even opened by itself it is a picture and nothing else. `nosniff` stands on every answer. */
const harmless = { 'content-security-policy': "default-src 'none'; sandbox" }

function answerAbsent(context: Context<ServerEnv>): Response {
  return context.body('no such picture', 404, { 'cache-control': 'public, max-age=60', ...harmless })
}
