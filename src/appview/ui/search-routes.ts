import { html } from '../../http/html.ts'
import { answerPage } from './answer.ts'
import { searchPage } from './pages/search.ts'
import type { Visit } from './routes.ts'
import { registryAddress } from './views/pull-commands.ts'
import { viewSearch } from './views/search.ts'

/** Results; what was named exactly is gone to at once. */
export async function showSearch({ context, needs, shell }: Visit): Promise<Response> {
  const { q, kind, platform, owner, page } = context.req.query()
  const { host } = registryAddress(needs)
  const view = await viewSearch({ ...needs, registryHost: host }, { q, kind, platform, owner, page })
  if ('leadsTo' in view) {
    context.header('cache-control', 'no-store')
    return context.redirect(view.leadsTo, 302)
  }
  return answerPage(context, searchPage(shell('/search'), view))
}

/** How browsers offer the search in their address bar (OpenSearch 1.1). */
export async function describeSearch(
  context: Visit['context'],
  needs: Pick<Visit['needs'], 'assets' | 'baseUrl' | 'imageHost'>,
): Promise<Response> {
  const template = `${new URL('/search', needs.baseUrl).href}?q={searchTerms}`
  const icon = new URL(needs.assets.path('icon.svg'), needs.baseUrl).href
  const iconType = needs.assets.brand.favicon?.contentType ?? 'image/svg+xml'
  const { host } = registryAddress(needs)
  const text = await html`<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/">
    <ShortName>${needs.assets.brand.shortName}</ShortName>
    <Description>Container images and people at ${host}</Description>
    <InputEncoding>UTF-8</InputEncoding>
    <image width="64" height="64" type="${iconType}">${icon}</image>
    <Url type="text/html" method="get" template="${template}" />
  </OpenSearchDescription> `
  return context.body(`<?xml version="1.0" encoding="UTF-8"?>\n${text.toString()}`, 200, {
    'content-type': 'application/opensearchdescription+xml; charset=utf-8',
    'cache-control': 'public, max-age=86400',
  })
}
