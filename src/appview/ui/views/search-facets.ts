import type { SearchDocument } from '../../db/search-documents.ts'
import type { SearchKind } from '../../db/search-facets.ts'
import { ownerView } from './owner.ts'
import { searchPath, type SearchAddress } from './search-address.ts'

/** One way of narrowing results down. */
export interface FacetView {
  name: string
  options: readonly { label: string; count: number; path: string; isChosen: boolean }[]
}

const optionCountMax = 8

export const kindOptions: readonly { value: SearchKind; label: string }[] = [
  { value: 'image', label: 'Image' },
  { value: 'helm', label: 'Helm chart' },
  { value: 'wasm', label: 'WebAssembly' },
  { value: 'artifact', label: 'Other artifact' },
]

/** How many of the results are of which kind, platform and owner. An option that is chosen leads back out. */
export function facetsOf(documents: readonly SearchDocument[], address: SearchAddress): FacetView[] {
  const facet = (key: 'kind' | 'platform' | 'owner', name: string, values: Count[]): FacetView => ({
    name,
    options: values.slice(0, optionCountMax).map(({ count, label, value }) => {
      const isChosen = address[key] === value
      return {
        label,
        count,
        isChosen,
        path: searchPath({ ...address, [key]: isChosen ? undefined : value }),
      }
    }),
  })
  const kinds = countsOf(documents.map(({ kind }) => kind)).map(({ count, value }) => ({
    value,
    count,
    label: kindOptions.find((option) => option.value === value)?.label ?? value,
  }))
  const platforms = countsOf(documents.flatMap(({ platforms }) => platforms))
  const owners = countsOf(documents.map(({ handle, ownerDid }) => ownerView(ownerDid, handle).label))
  const facets = [
    facet('kind', 'Kind', kinds),
    facet('platform', 'Platform', platforms),
    facet('owner', 'Owner', owners),
  ]
  // What all results have in common narrows nothing down.
  return facets.filter(({ options }) => options.length > 1 || options.some((option) => option.isChosen))
}

interface Count {
  value: string
  label: string
  count: number
}

/** Each value with how often it comes, the most frequent first. */
function countsOf(values: readonly string[]): Count[] {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts]
    .map(([value, count]) => ({ value, label: value, count }))
    .toSorted((one, other) => other.count - one.count || (one.value < other.value ? -1 : 1))
}
