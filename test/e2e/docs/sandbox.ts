import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { bundleProgram } from '../../../scripts/release/bundle.ts'
import { releasedPrograms } from '../../../scripts/release/programs.ts'
import { run } from '../command.ts'

/** What `systemctl start`, `stop` and `restart` do here: units are files with the line that starts them. */
const systemctl = `#!/bin/bash
set -eu
verb=$1; shift
for unit in "$@"; do
  pid=$UNITS/$unit.pid
  if [ "$verb" != start ] && [ -e "$pid" ]; then
    kill "$(cat "$pid")" || true
    while kill -0 "$(cat "$pid")" 2>/dev/null; do sleep 0.1; done
    rm "$pid"
  fi
  if [ "$verb" != stop ]; then
    : > "$UNITS/$unit.log"
    bash "$UNITS/$unit" > "$UNITS/$unit.log" 2>&1 & echo $! > "$pid"
    until grep -Eq 'hold is ready|the AppView is up|the registry is ready' "$UNITS/$unit.log"; do
      kill -0 "$(cat "$pid")" || { cat "$UNITS/$unit.log" >&2; exit 1; }
      sleep 0.1
    done
  fi
done
`

/** As a reader has it who uses podman for docker; its images are in the sandbox. */
const podman = (storage: string) => `#!/bin/sh
exec ${podmanPath} --root ${storage}/root --runroot ${storage}/run --storage-driver vfs "$@"
`
const podmanPath = '/usr/bin/podman'

/** What podman learns from `registries.conf`, that there is no TLS here, skopeo of Debian 12 has to be told. */
const skopeo = `#!/bin/sh
[ "$1" = login ] && shift && set -- login --tls-verify=false "$@"
exec /usr/bin/skopeo --tls-verify=false "$@"
`

/** The programs as they are released, which start three times as fast as their sources; by their names. */
export async function bundlePrograms(folder: string): Promise<ReadonlyMap<string, string>> {
  const bundles = new Map<string, string>()
  for (const program of releasedPrograms)
    bundles.set(program.name, (await bundleProgram(program, join(folder, program.name))).main)
  return bundles
}

/**
 * A machine to follow a page on: a folder with the programs on its PATH, where the names and places that pages speak of
 * stand for ones that are there.
 */
export class Sandbox implements AsyncDisposable {
  readonly folder: string
  readonly #names: ReadonlyMap<string, string>
  readonly #environment: Record<string, string>

  static async create(
    folder: string,
    options: {
      programs: ReadonlyMap<string, string>
      names: Record<string, string>
      environment: Record<string, string>
    },
  ): Promise<Sandbox> {
    const sandbox = new Sandbox(folder, options)
    for (const part of ['bin', 'units', 'work', 'var/lib', 'mnt/backup']) {
      await mkdir(join(folder, part), { recursive: true })
    }
    const { execPath } = process
    for (const [name, main] of options.programs) {
      await sandbox.#writeProgram(name, `#!/bin/sh\nexec ${execPath} ${main} "$@"\n`)
    }
    await sandbox.#writeProgram('systemctl', systemctl)
    await sandbox.#writeProgram('skopeo', skopeo)
    for (const name of ['docker', 'podman']) await sandbox.#writeProgram(name, podman(join(folder, 'images')))
    return sandbox
  }

  private constructor(
    folder: string,
    { names, environment }: { names: Record<string, string>; environment: Record<string, string> },
  ) {
    this.folder = folder
    const places = {
      '/var/lib/atcr': join(folder, 'var/lib/atcr'),
      '/mnt/backup': join(folder, 'mnt/backup'),
    }
    // The longer name first: `registry.example.com` is not `registry.example`.
    const all = Object.entries({ ...names, ...places }).toSorted(([a], [b]) => b.length - a.length)
    this.#names = new Map(all)
    this.#environment = { ...environment, UNITS: join(folder, 'units'), PATH: `${join(folder, 'bin')}:${process.env['PATH']}` } // prettier-ignore
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts)
  }

  /** A file where commands are run. */
  async write(name: string, text: string): Promise<void> {
    const path = this.path('work', name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text, { mode: 0o600 })
  }

  read(name: string): Promise<string> {
    return readFile(this.path('work', name), 'utf8')
  }

  /** Runs a line as it stands on the page, but for its names; a program that serves goes on as a unit of its name. */
  async follow(line: string): Promise<string> {
    const command = this.#translate(line)
    const serving = /(?:^| )(atcr[a-z-]*) serve\b/.exec(command)
    if (serving === null) return this.#bash(command)
    const unit = serving[1] as string
    await writeFile(
      this.path('units', unit),
      `cd ${this.path('work')}\n${command.replace(unit, `exec ${unit}`)}\n`,
    )
    return this.#bash(`systemctl restart ${unit}`)
  }

  stop(unit: string): Promise<string> {
    return this.#bash(`systemctl stop ${unit}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const running = await readdir(this.path('units'))
    for (const name of running.filter((file) => file.endsWith('.pid')))
      await this.stop(name.replace('.pid', ''))
  }

  async #bash(command: string): Promise<string> {
    const script = `set -o pipefail; cd ${this.path('work')}; ${command}`
    const { status, stdout, stderr } = await run('bash', ['-c', script], this.#environment)
    if (status !== 0) throw new Error(`${command}\nended with ${status}\n${stderr}${stdout}`)
    return stdout
  }

  #translate(text: string): string {
    const names = [...this.#names.keys()].map((name) => name.replaceAll(/[.$]/g, '\\$&'))
    return text.replaceAll(new RegExp(names.join('|'), 'g'), (name) => this.#names.get(name) ?? name)
  }

  #writeProgram(name: string, text: string): Promise<void> {
    return writeFile(this.path('bin', name), text, { mode: 0o755 })
  }
}
