import { tokenOf } from './search-words.ts'

/** What a repository is, by its newest manifest: few words, which people filter by. */
export type SearchKind = 'image' | 'helm' | 'wasm' | 'artifact'

const kinds: { readonly [artifactType: string]: SearchKind } = {
  'application/vnd.oci.image.config.v1+json': 'image',
  'application/vnd.docker.container.image.v1+json': 'image',
  'application/vnd.cncf.helm.config.v1+json': 'helm',
  'application/vnd.wasm.config.v0+json': 'wasm',
  'application/vnd.wasm.config.v1+json': 'wasm',
}

/** Words that find everything of a kind. */
export const searchKindWords: Readonly<Record<SearchKind, readonly string[]>> = {
  image: [],
  helm: ['helm', 'chart'],
  wasm: ['wasm', 'webassembly'],
  artifact: ['artifact'],
}

export function searchKindOf({ artifactType }: { artifactType?: string | undefined }): SearchKind {
  return artifactType === undefined ? 'image' : (kinds[artifactType] ?? 'artifact')
}

/** A fact of a document as a word that nobody types: letters and digits, like all words of the index. */
export function facetToken(facet: 'type' | 'kind' | 'platform' | 'owner', value: string): string {
  return `${facet}${value.toLowerCase().replaceAll(/[^a-z0-9]/g, '')}`
}

/**
 * A word of a person's names as a word of its own: to find people, those of repositories are not gone through. Prefixes stay
 * prefixes.
 */
export function personToken(word: string): string {
  return `person${tokenOf(word)}`
}
