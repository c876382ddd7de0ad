/** What the address of a page of results says. */
export interface SearchAddress {
  q: string
  kind?: string | undefined
  platform?: string | undefined
  owner?: string | undefined
  page?: number
}

/** The address of results. */
export function searchPath({ page, ...rest }: SearchAddress): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) parameters.set(name, value)
  if (page !== undefined && page > 1) parameters.set('page', String(page))
  return `/search?${parameters.toString()}`
}
