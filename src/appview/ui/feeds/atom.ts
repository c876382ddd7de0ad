import { html, type Html } from '../../../http/html.ts'
import type { FeedEntry, FeedView } from '../views/feed.ts'

/** A feed as Atom (RFC 4287). `address` is the feed's own; links are absolute. */
export async function atomFeed(
  feed: FeedView,
  { address, baseUrl }: { address: string; baseUrl: string },
): Promise<string> {
  const link = (path: string) => new URL(path, baseUrl).href
  const { author } = feed
  const document = await html`<?xml version="1.0" encoding="utf-8"?>
    <feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">
      <id>${text(feed.id)}</id>
      <title>${text(feed.title)}</title>
      <subtitle>${text(feed.description)}</subtitle>
      <updated>${feed.updatedAt.toISOString()}</updated>
      <author><name>${text(author.label)}</name><uri>${text(link(author.path))}</uri></author>
      <link rel="self" type="application/atom+xml" href="${text(address)}" />
      <link rel="alternate" type="text/html" href="${text(link(feed.path))}" />
      <generator>ATCR</generator>
      ${feed.entries.map((entry) => atomEntry(entry, link(entry.path)))}</feed
    > `
  return document.toString()
}

function atomEntry(entry: FeedEntry, link: string): Html {
  const at = entry.at.toISOString()
  return html`
    <entry>
      <id>${text(entry.id)}</id>
      <title>${text(entry.title)}</title>
      <published>${at}</published>
      <updated>${at}</updated>
      <link rel="alternate" type="text/html" href="${text(link)}" />
      <content type="text">${text(entry.text)}</content>
    </entry>
  `
}

// XML 1.0 §2.2, Char: of what is not in it no document may have any, escaped or not.
const notInXml = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu

/** Text as XML may carry it; the template escapes the rest. */
function text(of: string): string {
  return of.replaceAll(notInXml, '\ufffd')
}
