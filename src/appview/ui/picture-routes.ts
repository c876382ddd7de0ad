import type { Context, Hono } from 'hono'

import { isDid, normalizeDid } from '../../atproto/syntax.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { ImageType } from '../../lib/image-type.ts'
import { SlotsFullError } from '../../lib/slots.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'

/** Pictures of strangers, under our own address: a page loads nothing from anywhere else. */
export function mountPictures(
  app: Hono<ServerEnv>,
  { avatars, remoteImages }: Pick<AppContext, 'avatars' | 'remoteImages'>,
): void {
  app.get('/avatar/:did/:cid', async (context) => {
    const { did, cid } = context.req.param()
    if (!isDid(did) || !/^b[a-z2-7]{20,100}$/.test(cid)) return answerAbsent(context)
    // What is behind the address never changes: it names the bytes.
    const caching = 'public, max-age=31536000, immutable'
    return answering(context, caching, () => avatars.find(normalizeDid(did), cid))
  })
  app.get('/image', async (context) => {
    const { key = '', url = '' } = context.req.query()
    return answering(context, 'public, max-age=86400', () => remoteImages.find(url, key))
  })
}

const busySeconds = 10

async function answering(
  context: Context<ServerEnv>,
  caching: string,
  find: () => Promise<{ bytes: Uint8Array; type: ImageType } | undefined>,
): Promise<Response> {
  try {
    const picture = await find()
    if (picture === undefined) return answerAbsent(context)
    return context.body(picture.bytes as Uint8Array<ArrayBuffer>, 200, {
      'content-type': picture.type,
      'cache-control': caching,
      ...harmless,
    })
  } catch (error) {
    if (!(error instanceof AppViewError || error instanceof SlotsFullError)) throw error
    const headers = { 'cache-control': 'no-store', 'retry-after': String(busySeconds), ...harmless }
    return context.body('not to be had just now', 503, headers)
  }
}

/** Even opened by itself it is a picture and nothing else. `nosniff` stands on every answer. */
const harmless = { 'content-security-policy': "default-src 'none'; sandbox" }

function answerAbsent(context: Context<ServerEnv>): Response {
  return context.body('no such picture', 404, { 'cache-control': 'public, max-age=60', ...harmless })
}
