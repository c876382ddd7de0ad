/** What an element holds: text, children, or several elements of the same name. */
type XmlContent = string | number | boolean | XmlElements | readonly XmlElements[]
export interface XmlElements {
  [name: string]: XmlContent | undefined
}

/** A whole document; `undefined` children are left out, an array repeats its element. */
export function formatXml(root: string, content: XmlElements): string {
  const namespace = root === 'Error' ? '' : ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${namespace}>${formatChildren(content)}</${root}>`
}

function formatChildren(elements: XmlElements): string {
  return Object.entries(elements)
    .map(([name, content]) => (content === undefined ? '' : formatElement(name, content)))
    .join('')
}

function formatElement(name: string, content: XmlContent): string {
  if (Array.isArray(content)) return content.map((it: XmlElements) => formatElement(name, it)).join('')
  const inner = typeof content === 'object' ? formatChildren(content as XmlElements) : escape(String(content))
  return `<${name}>${inner}</${name}>`
}

/** The inner texts of every `<name>…</name>`, in order. Enough for the two documents S3 clients send. */
export function findElements(xml: string, name: string): string[] {
  const pattern = new RegExp(`<${name}(?:\\s[^>]*)?>(.*?)</${name}>`, 'gs')
  return [...xml.matchAll(pattern)].map((match) => match[1] as string)
}

/** The unescaped text of the first `<name>`, or `undefined`. */
export function findText(xml: string, name: string): string | undefined {
  const inner = findElements(xml, name)[0]
  return inner?.replaceAll(/&(#x?[0-9a-fA-F]+|\w+);/g, (_, entity: string) => unescape(entity))
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescape(entity: string): string {
  if (!entity.startsWith('#')) return entities[entity] ?? ''
  const isHex = entity[1] === 'x'
  return String.fromCodePoint(Number.parseInt(entity.slice(isHex ? 2 : 1), isHex ? 16 : 10))
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
