import { OciError } from '../../protocol/oci/errors.ts'
import { formatNextLink } from '../../protocol/oci/link-header.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import type { RegistryCall } from './call.ts'

const pageSizeMax = 10_000

/** `GET /v2/<name>/tags/list?n=&last=`: sorted by bytes, paged. */
export async function getTags(
  call: RegistryCall,
  { listings }: Pick<AppContext, 'listings'>,
): Promise<Response> {
  const limit = pageSize(call.query.get('n'))
  const last = call.query.get('last') ?? undefined
  const page = await listings.tags(call.repository, call.holder.did, { last, limit })
  if (page === undefined) throw new AppViewError('repository_unknown', 'repository unknown')
  const { tags, next } = page
  const path = `/v2/${call.name}/tags/list`
  const headers = next === undefined ? {} : { link: formatNextLink(path, { n: String(limit), last: next }) }
  return Response.json({ name: call.name, tags }, { headers })
}

/** No `n` means as many as we give; more than that is clamped. */
function pageSize(text: string | null): number {
  if (text === null) return pageSizeMax
  if (!/^\d{1,15}$/.test(text)) throw new OciError('PAGINATION_NUMBER_INVALID')
  return Math.min(Number(text), pageSizeMax)
}
