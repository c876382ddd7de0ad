import { join } from 'node:path'

import { CredentialFile } from './credential-file.ts'
import { keyringName } from './keyring.ts'
import { systemProcesses, type ProcessTable } from './process-table.ts'
import { Secrets } from './secrets.ts'

type Environment = Record<string, string | undefined>

/** What the program finds itself in, and what it keeps there. */
export interface Surroundings {
  environment: Environment
  platform: NodeJS.Platform
  home: string
  processes: ProcessTable
  file: CredentialFile
  secrets: Secrets
  /** Says something beside the answer: on standard error. */
  warn: (line: string) => void
}

/** Those of this process. `environment` is `process.env`, which only `main.ts` reads. */
export function findSurroundings(environment: Environment, home: string): Surroundings {
  const { platform } = process
  const warn = (line: string) => void process.stderr.write(`${line}\n`)
  // Windows says -1 for everyone.
  const userId = platform === 'win32' ? undefined : process.getuid?.()
  return {
    environment,
    platform,
    home,
    warn,
    processes: systemProcesses(platform, process.ppid),
    file: new CredentialFile({ folder: configFolder(environment, home), warn, userId }),
    secrets: new Secrets({ keyring: keyringName(environment, platform), warn }),
  }
}

/** `ATCR_CONFIG_DIR`, or `.atcr` in the home folder. */
function configFolder(environment: Environment, home: string): string {
  const wanted = environment['ATCR_CONFIG_DIR']
  return wanted === undefined || wanted === '' ? join(home, '.atcr') : wanted
}
