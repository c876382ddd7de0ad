import { globSync, readFileSync } from 'node:fs'

/** A command as a page shows it: one line of a shell, comment and all. */
export interface DocumentedCommand {
  page: string
  line: string
}

/** Pages that people follow; decisions tell what was, not what to type. */
export function documentedPages(): string[] {
  return globSync(['*.md', 'docs/**/*.md']).filter((page) => !page.startsWith('docs/adr/')).toSorted() // prettier-ignore
}

/** What stands in the `sh` blocks of a page, in its order; lines that end with a backslash go on. */
export function commandsOf(page: string): DocumentedCommand[] {
  return commandsIn(readFileSync(page, 'utf8')).map((line) => ({ page, line }))
}

export function commandsIn(markdown: string): string[] {
  return [...markdown.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block]) =>
    (block as string)
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .map((line) => line.replace(/\s+#\s.*$/, '').trim())
      .filter((line) => line !== '' && !line.startsWith('#')),
  )
}
