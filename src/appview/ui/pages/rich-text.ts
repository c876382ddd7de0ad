import { html, type Html } from '../../../http/html.ts'

/** An address of the web, or a handle after an at sign; the rest of a text is just that. */
const links =
  /(?<url>https?:\/\/[^\s<>"'()]+[^\s<>"'().,;:!?])|(?<![\w@/.])@(?<handle>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)/gi

/** Lines that somebody wrote about himself, with addresses and handles as links. */
export function richText(lines: readonly string[]): Html {
  return html`${lines.map((line, index) => html`${index > 0 && html`<br />`}${linkLine(line)}`)}`
}

function linkLine(line: string): Html {
  const parts: (Html | string)[] = []
  let end = 0
  for (const match of line.matchAll(links)) {
    const [text] = match
    parts.push(line.slice(end, match.index), linkOf(text, match.groups?.['handle']))
    end = match.index + text.length
  }
  return html`${parts}${line.slice(end)}`
}

function linkOf(text: string, handle: string | undefined): Html | string {
  if (handle !== undefined) return html`<a href="/u/${handle.toLowerCase()}">${text}</a>`
  if (!URL.canParse(text)) return text
  // Who looks is nobody's business there, and a stranger's link no recommendation of ours.
  return html`<a href="${new URL(text).href}" rel="nofollow ugc noopener noreferrer"
    >${text.replace(/^https?:\/\//, '')}</a
  >`
}
