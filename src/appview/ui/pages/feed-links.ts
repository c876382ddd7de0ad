import type { FeedLink } from './layout.ts'

/** Both forms of a feed, below `path`. */
export function feedLinks(path: string, title: string): FeedLink[] {
  return [
    { path: `${path}/feed.atom`, type: 'application/atom+xml', title: `${title} (Atom)` },
    { path: `${path}/feed.json`, type: 'application/feed+json', title: `${title} (JSON Feed)` },
  ]
}
