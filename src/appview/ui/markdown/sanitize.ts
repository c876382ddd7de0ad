import sanitizeHtml, { type Attributes, type IOptions, type Tag } from 'sanitize-html'

export interface SanitizeOptions {
  /** A word that whoever wrote the text cannot know. */
  nonce: string
  /** Where relative links lead; without it they lead nowhere. */
  baseUrl: string | undefined
  /** Whether pictures of other sites are shown (by way of ours), or are links. */
  images: 'proxy' | 'link'
  /** The level of its highest headings, below the page's own. Default: 3. */
  topLevel?: 2 | 3 | undefined
}

/** HTML, and the pictures in it: the address of number n stands there as `<nonce>-image-n`. */
export interface Sanitized {
  html: string
  images: string[]
}

/** Ids of ours do not begin so, and those of a README do. */
const idPrefix = 'readme-'
const imageCountMax = 100
const nestingMax = 60
const headings = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6']

const wordsOf = (text: string) => text.split(' ')
const allowedTags = wordsOf(
  'h1 h2 h3 h4 h5 h6 p div blockquote pre hr br ul ol li dl dt dd table thead tbody tfoot tr th td caption ' +
    'details summary a img b strong i em s del ins u mark small sub sup code kbd samp var q abbr cite span',
)
const aligned = ['p', 'div', 'td', 'th', 'img', ...headings]

/**
 * Takes HTML down to what may stand on a page of ours. Nothing runs, nothing is loaded from elsewhere, nothing is
 * called like a part of the page, and nothing closes what it did not open.
 */
export function sanitize(html: string, options: SanitizeOptions): Sanitized {
  const images: string[] = []
  const text = sanitizeHtml(html, optionsFor(options, images, levelShift(html, options.topLevel ?? 3)))
  return {
    // The serializer writes these tags in no other way, and nothing else so.
    html: text
      .replaceAll('<table>', '<div class="table-scroll" tabindex="0" role="group" aria-label="Table"><table>')
      .replaceAll('</table>', '</table></div>'),
    images,
  }
}

/** By how much headings move, so that the highest is the first below ours. */
function levelShift(html: string, topLevel: number): number {
  const levels = [...html.matchAll(/<h([1-6])[\s>]/gi)].map(([, level]) => Number(level))
  return levels.length === 0 ? 0 : topLevel - Math.min(...levels)
}

function optionsFor(options: SanitizeOptions, images: string[], shift: number): IOptions {
  let openLinks = 0
  const heading = (tagName: string, attributes: Attributes): Tag => {
    const level = Math.min(6, Number(tagName.slice(1)) + shift)
    return { tagName: `h${level}`, attribs: { ...idOf(attributes, options.nonce), ...alignOf(attributes) } }
  }
  return {
    allowedTags,
    allowedAttributes: {
      a: ['href', 'title', 'rel'],
      img: ['src', 'alt', 'title', 'width', 'height', 'loading', 'decoding', 'align'],
      ol: ['start'],
      pre: ['tabindex'],
      td: ['align', 'colspan', 'rowspan'],
      th: ['align', 'colspan', 'rowspan', 'scope'],
      abbr: ['title'],
      details: ['open'],
      p: ['align'],
      div: ['align'],
      ...Object.fromEntries(headings.map((name) => [name, ['id', 'align']])),
    },
    allowedClasses: { span: [/^hljs-[a-z_-]{1,40}$/] },
    // Addresses are checked where they are rewritten; this is the second lock.
    allowedSchemes: ['http', 'https', 'mailto'],
    allowedSchemesByTag: {},
    allowProtocolRelative: false,
    allowedSchemesAppliedToAttributes: ['href'],
    nonTextTags: [
      'script',
      'style',
      'textarea',
      'option',
      'xmp',
      'noscript',
      'title',
      'template',
      'svg',
      'math',
    ],
    nestingLimit: nestingMax,
    enforceHtmlBoundary: false,
    parseStyleAttributes: false,
    onOpenTag: (name) => void (openLinks += name === 'a' ? 1 : 0),
    onCloseTag: (name) => void (openLinks -= name === 'a' ? 1 : 0),
    transformTags: {
      ...Object.fromEntries(headings.map((name) => [name, heading])),
      ...Object.fromEntries(
        aligned
          .filter((name) => !headings.includes(name) && name !== 'img')
          .map((name) => [
            name,
            (tagName: string, attributes: Attributes) => ({
              tagName,
              attribs: { ...spansOf(attributes), ...alignOf(attributes) },
            }),
          ]),
      ),
      a: (tagName, attributes) => ({ tagName, attribs: linkOf(attributes, options) }),
      img: (_, attributes) => imageOf(attributes, options, images, openLinks > 0),
      // What is too wide scrolls, and by keys too.
      pre: (tagName) => ({ tagName, attribs: { tabindex: '0' } }),
      ol: (tagName, { start }) => ({ tagName, attribs: startOf(start) }),
      table: (tagName) => ({ tagName, attribs: {} }),
    },
  }
}

/** Only headings that we made have one. */
function idOf({ id }: Attributes, nonce: string): Attributes {
  return id?.startsWith(`${nonce}-`) === true ? { id: idPrefix + id.slice(nonce.length + 1) } : {}
}

function startOf(start: string | undefined): Attributes {
  return start !== undefined && /^\d{1,6}$/.test(start) ? { start } : {}
}

function alignOf({ align }: Attributes): Attributes {
  const word = align?.toLowerCase() ?? ''
  return ['left', 'center', 'right'].includes(word) ? { align: word } : {}
}

function spansOf({ colspan, rowspan }: Attributes): Attributes {
  const isSpan = (text: string | undefined) => text !== undefined && /^[1-9]\d?$/.test(text)
  return {
    ...(isSpan(colspan) && { colspan: colspan as string }),
    ...(isSpan(rowspan) && { rowspan: rowspan as string }),
  }
}

/** A link says that it is a stranger's word (`ugc`); without a place to lead to it is plain text. */
function linkOf({ href, title }: Attributes, { baseUrl }: SanitizeOptions): Attributes {
  const named: Attributes = title === undefined ? {} : { title }
  if (href === undefined) return {}
  if (href.startsWith('#')) return href.length > 1 ? { href: anchorOf(href), ...named } : {}
  const url = resolve(href, baseUrl)
  if (url === undefined || !['http:', 'https:', 'mailto:'].includes(url.protocol)) return {}
  return { href: url.href, rel: 'nofollow ugc noopener', ...named }
}

function anchorOf(href: string): string {
  let name = href.slice(1)
  try {
    name = decodeURIComponent(name)
  } catch {
    // Taken as it is.
  }
  return `#${idPrefix}${encodeURIComponent(name.toLowerCase())}`
}

function imageOf(
  attributes: Attributes,
  { baseUrl, images: mode, nonce }: SanitizeOptions,
  images: string[],
  isInLink: boolean,
): Tag {
  const alt = attributes['alt'] ?? ''
  const url = resolve(attributes['src'] ?? '', baseUrl)
  const isRemote = url !== undefined && ['http:', 'https:'].includes(url.protocol)
  if (!isRemote || images.length >= imageCountMax) return { tagName: 'span', attribs: {}, text: alt }
  if (mode === 'link') {
    const text = alt.trim() === '' ? 'Picture' : alt
    if (isInLink) return { tagName: 'span', attribs: {}, text }
    return { tagName: 'a', attribs: { href: url.href, rel: 'nofollow ugc noopener' }, text }
  }
  images.push(pictureAddress(url))
  const size = (name: 'width' | 'height'): Attributes => {
    const text = attributes[name]?.replace(/px$/, '')
    return text !== undefined && /^\d{1,4}%?$/.test(text) ? { [name]: text } : {}
  }
  return {
    tagName: 'img',
    attribs: {
      src: `${nonce}-image-${images.length - 1}`,
      alt,
      ...(attributes['title'] !== undefined && { title: attributes['title'] }),
      ...size('width'),
      ...size('height'),
      ...alignOf(attributes),
      loading: 'lazy',
      decoding: 'async',
    },
  }
}

/** On GitHub `blob` is a page about a file, `raw` the file. */
function pictureAddress(url: URL): string {
  return url.host === 'github.com' ? url.href.replace(/^(https:\/\/[^/]+\/[^/]+\/[^/]+)\/blob\//, '$1/raw/') : url.href // prettier-ignore
}

function resolve(text: string, baseUrl: string | undefined): URL | undefined {
  // A browser would take the scheme from our page.
  const address = text.trim().replace(/^\/\//, 'https://')
  return URL.parse(address, baseUrl) ?? undefined
}
