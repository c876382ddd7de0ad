import { cutNamed, looseMap, type Cut, type NamedText } from './loose-json.ts'

/** What a builder says of where an image comes from. */
export interface AboutFact {
  label: string
  text: string
  /** An http(s) address. */
  href: string | undefined
}

/** The keys of the image spec ("Pre-Defined Annotation Keys") that have a name here, in the order they are shown. */
const labels = new Map([
  ['org.opencontainers.image.title', 'Title'],
  ['org.opencontainers.image.version', 'Version'],
  ['org.opencontainers.image.source', 'Source'],
  ['org.opencontainers.image.revision', 'Revision'],
  ['org.opencontainers.image.url', 'Website'],
  ['org.opencontainers.image.documentation', 'Documentation'],
  ['org.opencontainers.image.licenses', 'Licences'],
  ['org.opencontainers.image.authors', 'Authors'],
  ['org.opencontainers.image.vendor', 'Vendor'],
  ['org.opencontainers.image.created', 'Built'],
  ['org.opencontainers.image.base.name', 'Base image'],
  ['org.opencontainers.image.base.digest', 'Base image digest'],
  ['org.opencontainers.image.ref.name', 'Reference'],
])
/** Shown elsewhere on the page. */
const described = new Set(['org.opencontainers.image.description', 'org.opencontainers.image.created'])

const textLengthMax = 300
const countMax = 40
/** Of all of them together. */
const lengthMax = 7_000
const readCountMax = 400

/** Annotations and labels that say where a thing comes from, by name, and the rest of both as they are. */
export function readAbout(
  annotations: Readonly<Record<string, string>> | undefined,
  imageLabels: readonly NamedText[],
): { about: AboutFact[]; annotations: Cut<NamedText>; labels: Cut<NamedText> } {
  const own = looseMap(annotations, textLengthMax, readCountMax)
  const known = new Map([...imageLabels, ...own].map(({ name, text }) => [name, text]))
  const about = [...labels].flatMap(([key, label]) => {
    const text = known.get(key)
    return text === undefined || described.has(key) ? [] : [{ label, text, href: linkOf(key, text, known) }]
  })
  const rest = (texts: readonly NamedText[]) =>
    cutNamed(
      texts.filter(({ name }) => !labels.has(name) && !described.has(name)),
      { countMax, lengthMax },
    )
  return { about, annotations: rest(own), labels: rest(imageLabels) }
}

function linkOf(key: string, text: string, known: ReadonlyMap<string, string>): string | undefined {
  if (key !== 'org.opencontainers.image.revision') return webAddress(text)
  const source = webAddress(known.get('org.opencontainers.image.source') ?? '')
  if (source === undefined || !/^[0-9a-f]{40}$/.test(text)) return undefined
  const { hostname, origin, pathname } = new URL(source)
  const repository = `${origin}${pathname.replace(/(?:\.git)?\/?$/, '')}`
  return forges.has(hostname) ? `${repository}/commit/${text}` : undefined
}

/** Where a commit's page is known to be under `/commit/`. */
const forges = new Set(['github.com', 'gitlab.com', 'codeberg.org', 'tangled.org'])

/** The address, if it leads to a web page and nowhere else. */
export function webAddress(text: string): string | undefined {
  // What was cut leads somewhere else.
  if (!/^https?:\/\//i.test(text) || text.endsWith('…') || !URL.canParse(text)) return undefined
  const { href, username } = new URL(text)
  // A name before the host is how one passes for another.
  return username === '' ? href : undefined
}
