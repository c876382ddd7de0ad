import { LineBudget } from '../../lib/line-budget.ts'
import { logger } from '../../lib/log.ts'
import { pulls } from '../metrics.ts'
import type { RegistryCall } from './call.ts'

const log = logger('appview:pulls')
const budget = new LineBudget({ perSecond: 50 })

const messages = {
  manifest: 'pull: a manifest',
  redirect: 'pull: a blob, by 307 to a presigned URL of the hold',
  stream: 'pull: a blob, relayed from the hold',
} as const

const counts = {
  manifest: pulls({ how: 'manifest' }),
  redirect: pulls({ how: 'redirect' }),
  stream: pulls({ how: 'stream' }),
} as const

interface Pull {
  what: 'manifest' | 'blob'
  how: keyof typeof messages
  reference?: string
  digest: string
  bytes: number
  hold: string | undefined
}

/** Content was asked for and is given: one line in the log, as far as there is room for it. */
export function tellPull({ name, repository, holder }: RegistryCall, { how, ...pull }: Pull): void {
  counts[how]()
  const room = budget.take(performance.now())
  if (room === undefined) return
  const place = { repository: name, owner: repository.ownerDid, account: holder.did ?? 'anonymous' }
  log.info({ ...place, ...pull, how, ...room }, messages[how])
}
