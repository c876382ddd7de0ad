import { Marked, type Token, type Tokens } from 'marked'

import { loadHighlight, type Highlight } from './highlight.ts'
import { sanitize, type Sanitized, type SanitizeOptions } from './sanitize.ts'

/**
 * A stranger's Markdown (GitHub's dialect) as HTML that is safe on our pages. Takes whatever time it takes: see
 * {@link Markdown}. `nonce` is a word that the text cannot know; what bears it comes from here.
 */
export function markdownToHtml(text: string, options: SanitizeOptions): Sanitized {
  const marked = new Marked({ gfm: true, async: false })
  const tokens = marked.lexer(text.replaceAll('\0', '\ufffd'))
  const languages: string[] = []
  const noteLanguage = (token: Token) => {
    if (token.type === 'code') languages.push(languageOf(token as Tokens.Code) ?? '')
  }
  void marked.walkTokens(tokens, noteLanguage)
  const highlight = loadHighlight(languages)
  marked.use({ renderer: rendererOf(highlight, options.nonce) })
  return sanitize(marked.parser(tokens), options)
}

/** The first word behind the fence. */
const languageOf = ({ lang }: Tokens.Code): string | undefined => /^[\w+#.-]{1,30}/.exec(lang ?? '')?.[0]

interface Parser {
  parser: { parseInline(tokens: Token[]): string }
}

function rendererOf(highlight: Highlight, nonce: string) {
  const slugs = new Map<string, number>()
  return {
    code(token: Tokens.Code): string {
      const marked = highlight(token.text, languageOf(token))
      return `<pre><code>${marked ?? escapeHtml(token.text)}\n</code></pre>\n`
    },
    heading(this: Parser, { depth, tokens }: Tokens.Heading): string {
      const content = this.parser.parseInline(tokens)
      const slug = slugOf(content)
      const count = slugs.get(slug) ?? 0
      slugs.set(slug, count + 1)
      // As on GitHub, the second of a name is the first with a number.
      const id = count === 0 ? slug : `${slug}-${count}`
      return `<h${depth} id="${nonce}-${id}">${content}</h${depth}>\n`
    },
    // A box that cannot be ticked is a sign, no field of a form.
    checkbox({ checked }: Tokens.Checkbox): string {
      return checked ? '☑ ' : '☐ '
    },
  }
}

/** As GitHub makes them, of the text alone. */
function slugOf(content: string): string {
  const text = content
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll(/&[a-z0-9#]+;/gi, '')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/gu, '-')
  return Array.from(text).slice(0, 64).join('') || 'section'
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => entities[character] as string)
}
