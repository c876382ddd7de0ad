import type { FeedView } from '../views/feed.ts'

/** A feed as JSON Feed 1.1. `address` is the feed's own; links are absolute. */
export function jsonFeed(feed: FeedView, { address, baseUrl }: { address: string; baseUrl: string }): string {
  const link = (path: string) => new URL(path, baseUrl).href
  return JSON.stringify({
    version: 'https://jsonfeed.org/version/1.1',
    title: feed.title,
    description: feed.description,
    home_page_url: link(feed.path),
    feed_url: address,
    language: 'en',
    authors: [{ name: feed.author.label, url: link(feed.author.path) }],
    items: feed.entries.map((entry) => ({
      id: entry.id,
      url: link(entry.path),
      title: entry.title,
      content_text: entry.text,
      date_published: entry.at.toISOString(),
      _atcr: entry.push,
    })),
  })
}
