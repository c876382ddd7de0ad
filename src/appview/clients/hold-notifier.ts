import { jsonToLex, type JsonValue } from '@atproto/lex'

import type { Did } from '../../atproto/syntax.ts'
import { callXrpc } from '../../atproto/xrpc-client.ts'
import * as notifyManifest from '../../protocol/lexicon/generated/io/atcr/hold/notifyManifest.ts'
import type { HoldNotifier, ManifestNotice } from '../ports/hold-notifier.ts'
import type { HoldCaller } from './hold-caller.ts'

/** `io.atcr.hold.notifyManifest`. */
export class HoldNotifierClient implements HoldNotifier {
  readonly #caller: HoldCaller

  constructor(needs: { caller: HoldCaller }) {
    this.#caller = needs.caller
  }

  async notify(call: { holdDid: Did; accountDid: Did }, notice: ManifestNotice): Promise<void> {
    await this.#caller.call(notifyManifest.main, notifyManifest.$nsid, call, { body: bodyOf(notice) })
  }

  async notifyAsNobody(holdDid: Did, notice: ManifestNotice): Promise<void> {
    await this.#caller.asNobody(holdDid, (target) =>
      callXrpc(target, notifyManifest.main, { body: bodyOf(notice) }),
    )
  }
}

const bodyOf = (notice: ManifestNotice) => ({
  ...notice,
  manifest: jsonToLex(notice.manifest as JsonValue) as never,
})
