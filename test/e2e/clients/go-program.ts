import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

import { mustRun } from '../command.ts'

/** A program that the ordinary Go client builds from its published module. */
export interface GoProgram {
  /** What the package's folder is called, and so the program. */
  name: string
  package: string
  version: string
}

let isGoPresent: boolean | undefined

/** A program built before needs no Go. */
export function findGoObstacle(program: GoProgram): string | undefined {
  isGoPresent ??= spawnSync('go', ['version']).status === 0
  return isGoPresent || existsSync(pathOf(program)) ? undefined : 'Go is not on this machine to build it'
}

const builds = new Map<string, Promise<string>>()
let lastBuild: Promise<unknown> = Promise.resolve()

/**
 * Builds a program once and answers its path; builds wait for each other. They step back for what else runs, so that
 * they may be begun long before they are needed (`scripts/build-test-programs.ts`).
 */
export function buildGoProgram(program: GoProgram): Promise<string> {
  const known = builds.get(program.name)
  if (known !== undefined) return known
  const build = lastBuild.then(() => buildNow(program))
  // Whoever needs the program hears of the failure.
  lastBuild = build.catch(() => undefined)
  builds.set(program.name, build)
  return build
}

/** Flags are those of the conformance suite, so that both share what Go compiled of its standard library. */
async function buildNow(program: GoProgram): Promise<string> {
  const path = pathOf(program)
  if (existsSync(path)) return path
  // Built elsewhere and moved: a program that is half written is never taken for one that is there.
  const building = `${dirname(path)}.${process.pid}`
  await mkdir(dirname(path), { recursive: true })
  const command = ['-n', '5', 'go', 'install', `${program.package}@${program.version}`]
  await mustRun('nice', command, { GOBIN: building, GOFLAGS: '' })
  await rename(join(building, program.name), path)
  await rm(building, { recursive: true })
  return path
}

function pathOf({ name, version }: GoProgram): string {
  return resolve('node_modules/.cache/clients', `${name}-${version}`, name)
}
