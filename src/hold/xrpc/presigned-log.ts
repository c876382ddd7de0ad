import { LineBudget } from '../../lib/line-budget.ts'
import { logger } from '../../lib/log.ts'
import { presignedUrls } from '../metrics.ts'

const log = logger('hold:blobs')
const budget = new LineBudget({ perSecond: 50 })

/** A presigned URL was handed out: counted, and told without the URL, which is a secret. */
export function presigned({ what, ...about }: { what: 'read' | 'part' } & Record<string, unknown>): void {
  presignedUrls.inc({ what })
  const room = budget.take(performance.now())
  if (room !== undefined) log.info({ what, ...about, ...room }, 'presigned')
}
