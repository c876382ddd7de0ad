import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { run, type CommandResult } from '../e2e/command.ts'
import { commandsIn } from '../e2e/docs/commands.ts'

const project = join(import.meta.dirname, '../..')

/** Lines of the `sh` blocks below a heading of a page, without comments. */
export async function readCommands(page: string, heading: string): Promise<string[]> {
  const text = await readFile(join(project, page), 'utf8')
  const section = text.split(/^(?=## )/m).find((it) => it.startsWith(`## ${heading}\n`))
  if (section === undefined) throw new Error(`${page} has no heading "${heading}"`)
  return commandsIn(section)
}

/** What stands in for a machine's tools: `sudo` does as it is told, by whoever runs the tests; owners stay as they are. */
const playedTools: Record<string, string> = {
  sudo: '[ "$1" = -u ] && shift 2; exec "$@"',
  install:
    'args=(); while [ $# -gt 0 ]; do case $1 in -o|-g) shift ;; *) args+=("$1") ;; esac; shift; done; exec /usr/bin/install "${args[@]}"',
}

/** Runs lines of a page in a folder that stands for the machine's root. */
export class PageShell {
  readonly root: string

  /** `recorded`: tools that only write down what they are asked, in `log`. */
  static async create(root: string, recorded: readonly string[] = []): Promise<PageShell> {
    for (const folder of ['bin', 'etc/atcr', 'etc/systemd/system', 'etc/sysusers.d', 'opt', 'usr/local/bin', 'var/lib', 'var/backups'])
      await mkdir(join(root, folder), { recursive: true }) // prettier-ignore
    for (const program of ['atcr', 'atcr-appview', 'atcr-hold'])
      await symlink(join(project, 'deploy/bin', program), join(root, 'bin', program))
    const record = (name: string): [string, string] => [name, `printf '%s\\n' "${name} $*" >> ${join(root, 'log')}`] // prettier-ignore
    const tools: Record<string, string> = { ...playedTools, ...Object.fromEntries(recorded.map(record)) }
    for (const [name, action] of Object.entries(tools)) {
      await writeFile(join(root, 'bin', name), `#!/bin/bash\n${action}\n`)
      await chmod(join(root, 'bin', name), 0o755)
    }
    return new PageShell(root)
  }

  private constructor(root: string) {
    this.root = root
  }

  /** What a path of the page is here. */
  path(path: string): string {
    return join(this.root, path)
  }

  run(line: string, env: Record<string, string> = {}): Promise<CommandResult> {
    const here = line.replaceAll(/(?<=^|[\s"'=])\/(?=(?:etc|opt|usr\/local|var)\/)/g, `${this.root}/`)
    return run('/bin/bash', ['-c', here], { PATH: `${join(this.root, 'bin')}:/usr/bin:/bin`, ...env })
  }

  /** As {@link run}. @throws Error with what was said when it failed */
  async mustRun(line: string, env?: Record<string, string>): Promise<string> {
    const { status, stdout, stderr } = await this.run(line, env)
    if (status !== 0) throw new Error(`${line}\nended with ${status}\n${stderr}${stdout}`)
    return stdout
  }
}
