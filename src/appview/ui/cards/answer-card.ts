import type { Context } from 'hono'

import { clientAddressOf } from '../../../http/client-address.ts'
import type { ServerEnv } from '../../../http/serve.ts'
import { AttemptLimit } from '../../../lib/attempt-limit.ts'
import type { Now } from '../../../lib/clock.ts'
import { sha256Hex } from '../../../lib/ids.ts'
import { networkOf } from '../../../lib/networks.ts'
import type { Assets } from '../assets.ts'
import type { BrandedCard, Card } from '../views/card.ts'
import type { CardRenderer, Png } from './card-renderer.ts'

/** Changes with what the drawing looks like. */
const drawingVersion = 1
const freshSeconds = 3600
/** Cards that are not drawn yet, for one network: services that preview links ask for one at a time. */
const drawLimit = { countMax: 20, everySeconds: 3 }
const busySeconds = 5

/** Draws cards for whoever asks, as long as one does not ask for all of them. */
export class Cards {
  readonly #renderer: CardRenderer
  readonly #limit: AttemptLimit

  constructor(needs: { renderer: CardRenderer; now: Now }) {
    this.#renderer = needs.renderer
    this.#limit = new AttemptLimit({ now: needs.now, ...drawLimit })
  }

  /** The picture, or for how many seconds not to ask again, and why. */
  get(
    key: string,
    card: BrandedCard,
    address: string,
  ): Promise<Png> | { status: 429 | 503; waitSeconds: number } {
    const drawn = this.#renderer.find(key)
    if (drawn !== undefined) return drawn
    const waitSeconds = this.#limit.take(networkOf(address))
    if (waitSeconds !== undefined) return { status: 429, waitSeconds }
    return this.#renderer.draw(key, card) ?? { status: 503, waitSeconds: busySeconds }
  }
}

/** Answers with the picture of a card; who has it already is told so without a drawing. */
export async function answerCard(
  context: Context<ServerEnv>,
  { assets, cards }: { assets: Pick<Assets, 'brand'>; cards: Cards },
  plain: Card | undefined,
): Promise<Response> {
  if (plain === undefined) return context.text('there is no such card', 404)
  const { accent, logo, shortName } = assets.brand
  const brand = { name: shortName, accent: accent.dark, hasShip: logo === undefined }
  const card: BrandedCard = { ...plain, brand }
  const key = sha256Hex(JSON.stringify([drawingVersion, card])).slice(0, 32)
  const etag = `"${key}"`
  const headers = { etag, 'cache-control': `public, max-age=${freshSeconds}` }
  if (context.req.header('if-none-match')?.includes(etag)) return context.body(null, 304, headers)
  const answer = cards.get(key, card, clientAddressOf(context))
  if ('status' in answer) {
    const retry = { 'retry-after': String(answer.waitSeconds), 'cache-control': 'no-store' }
    return context.text('too many cards are wanted at once', answer.status, retry)
  }
  return context.body(await answer, 200, { ...headers, 'content-type': 'image/png' })
}
