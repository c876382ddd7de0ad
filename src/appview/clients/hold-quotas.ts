import type { Fetch } from '../../atproto/outbound-fetch.ts'
import type { Did } from '../../atproto/syntax.ts'
import { callXrpc } from '../../atproto/xrpc-client.ts'
import * as getQuota from '../../protocol/lexicon/generated/io/atcr/hold/getQuota.ts'
import type { HoldQuota, HoldQuotas } from '../ports/hold-quotas.ts'
import { holdFailure } from './failures.ts'
import type { HoldCaller } from './hold-caller.ts'

/** Quotas by XRPC. Somebody waits for the answer, so it has seconds, not the minutes of an upload. */
export class HoldQuotasClient implements HoldQuotas {
  readonly #needs: { caller: Pick<HoldCaller, 'serviceUrl'>; fetch: Fetch }

  constructor(needs: { caller: Pick<HoldCaller, 'serviceUrl'>; fetch: Fetch }) {
    this.#needs = needs
  }

  async get(holdDid: Did, accountDid: Did): Promise<HoldQuota> {
    const { caller, fetch } = this.#needs
    const serviceUrl = await caller.serviceUrl(holdDid)
    try {
      const { body } = await callXrpc({ serviceUrl, fetch }, getQuota.main, {
        params: { userDid: accountDid },
      })
      return { usedBytes: body.totalSize, limitBytes: body.limit, tier: body.tier }
    } catch (error) {
      throw holdFailure(error, holdDid)
    }
  }
}
