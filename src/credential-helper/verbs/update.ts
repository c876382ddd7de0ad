import { CommandError } from '../command-error.ts'
import { networkFetch } from '../network.ts'
import { executableFileName, replaceExecutable, runningExecutable } from '../executable.ts'
import { downloadVerified, findOffered, type Offered } from '../helper-downloads.ts'
import { sha256OfFile } from '../file-digest.ts'
import type { Surroundings } from '../surroundings.ts'
import type { Words } from '../verbs.ts'
import { whichRegistry } from './which-registry.ts'

const anotherThereExitCode = 1

/** Replaces this program by the one that a registry offers, after its checksum was verified. */
export async function update({ options, operand }: Words, surroundings: Surroundings): Promise<number> {
  const executable = runningExecutable()
  if (executable === undefined) {
    throw new CommandError(
      'this runs from its sources: update those (or install the program from a registry)',
    )
  }
  const registry = whichRegistry(operand, 'update', surroundings)
  const fileName = executableFileName(surroundings.platform, process.arch)
  const fetch = networkFetch()
  const offered: Offered | undefined = await findOffered(fetch, registry, fileName)
  if (offered === undefined) throw new CommandError(`${registry.host} offers no ${fileName}`)
  if ((await sha256OfFile(executable)) === offered.sha256) {
    process.stdout.write(`This is what ${registry.host} offers.\n`)
    return 0
  }
  if (options['check'] === true) {
    process.stdout.write(`${registry.host} offers another one: docker-credential-atcr update\n`)
    return anotherThereExitCode
  }
  await replaceExecutable(executable, (draft) => downloadVerified(fetch, offered, draft))
  process.stdout.write(`${executable} is now what ${registry.host} offers.\n`)
  return 0
}
