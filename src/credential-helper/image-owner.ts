import type { ProcessTable } from './process-table.ts'

const ancestorCountMax = 4

/**
 * Whose image a client is about to push or pull, by the command line that led here: `docker push
 * registry.example/alice.example/app` is alice's. Only owners that `isKnown` count. A guess, and cheap: at most four
 * processes are looked at, and none of them need exist.
 */
export function guessOwner(
  host: string,
  isKnown: (owner: string) => boolean,
  processes: ProcessTable,
): string | undefined {
  let pid = processes.parentPid
  for (let step = 0; step < ancestorCountMax && pid > 1; step++) {
    const ancestor = processes.find(pid)
    if (ancestor === undefined) return undefined
    const owner = findOwner(ancestor.words, host, isKnown)
    if (owner !== undefined) return owner
    pid = ancestor.parentPid
  }
  return undefined
}

/** What is built or copied to counts before what is built or copied from, and that is named last or by these. */
const namesResult = /^(?:-t|--tag|--destination)$/
const namesResultItself = /^(?:-t=?|--tag=|--destination=)/

/** The owner in the images that a command line names at a registry. */
export function findOwner(
  words: readonly string[],
  host: string,
  isKnown: (owner: string) => boolean,
): string | undefined {
  const pattern = new RegExp(`(?:^|[^a-z0-9.-])${escapePattern(host)}/([a-z0-9][a-z0-9.-]*)/`, 'i')
  const found = words.flatMap((word, index) => {
    const owner = pattern.exec(word)?.[1]?.toLowerCase()
    if (owner === undefined || !isKnown(owner)) return []
    return [{ owner, isResult: namesResult.test(words[index - 1] ?? '') || namesResultItself.test(word) }]
  })
  return (found.find(({ isResult }) => isResult) ?? found.at(-1))?.owner
}

// `RegExp.escape` is not known to the types yet. A host holds nothing else that a pattern would read.
const escapePattern = (host: string) => host.replaceAll(/[.[\]]/g, '\\$&')
