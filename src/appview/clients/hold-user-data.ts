import { lexToJson } from '@atproto/lex'

import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { callXrpc } from '../../atproto/xrpc-client.ts'
import * as deleteUserData from '../../protocol/lexicon/generated/io/atcr/hold/deleteUserData.ts'
import * as exportUserData from '../../protocol/lexicon/generated/io/atcr/hold/exportUserData.ts'
import type { HoldCall } from '../ports/hold-uploads.ts'
import type { HoldUserData } from '../ports/hold-user-data.ts'
import type { HoldCaller } from './hold-caller.ts'

/** `exportUserData` and `deleteUserData` of holds, as the account. */
export class HoldUserDataClient implements HoldUserData {
  readonly #caller: HoldCaller
  readonly #fetch: Fetch

  /** `fetch` takes answers that are larger than usual. */
  constructor(needs: { caller: HoldCaller; fetch: Fetch }) {
    this.#caller = needs.caller
    this.#fetch = needs.fetch
  }

  async export(call: HoldCall): Promise<unknown> {
    const { body } = await this.#caller.authorized(exportUserData.$nsid, call, (target) =>
      callXrpc({ ...target, fetch: this.#fetch }, exportUserData.main, {}),
    )
    return lexToJson(body)
  }

  async delete(call: HoldCall): Promise<number> {
    const { body } = await this.#caller.authorized(deleteUserData.$nsid, call, (target) =>
      callXrpc({ ...target, fetch: this.#fetch }, deleteUserData.main, {}),
    )
    return body.deleted
  }
}
