import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { must } from './debian.ts'

/** An executable of Node. */
export interface NodeExecutable {
  file: string
  version: string
  architecture: string
}

/**
 * The Node that goes into images of an architecture: one that was named, or the lock file's. npm installs only this machine's
 * of the latter; another one is fetched, and checked by npm against the checksum in the lock file.
 */
export function findNode(architecture: string, named: string | undefined, folder: string): NodeExecutable {
  if (named !== undefined) {
    const { stdout, status } = spawnSync(named, ['--version'], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`${named} --version fails: name a Node of this machine's architecture`)
    return { file: named, version: stdout.trim().slice(1), architecture }
  }
  const name = `node-linux-${architecture}`
  const installed = join('node_modules', name)
  const home = existsSync(join(installed, 'bin/node')) ? installed : fetchNode(name, folder)
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string }
  return { file: join(home, 'bin/node'), version, architecture }
}

/** Gives the folder of the package. */
function fetchNode(name: string, folder: string): string {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { version: string; integrity: string } | undefined>
  }
  const locked = packages[`node_modules/${name}`]
  if (locked === undefined) throw new Error(`package-lock.json has no ${name}`)
  const home = join(folder, `${name}-${locked.version}`)
  if (existsSync(join(home, 'bin/node'))) return home
  mkdirSync(home, { recursive: true })
  const answer = must('npm', ['pack', `${name}@${locked.version}`, '--json', '--pack-destination', home])
  const [packed] = JSON.parse(answer) as { filename: string; integrity: string }[]
  if (packed?.integrity !== locked.integrity) {
    throw new Error(`${name}@${locked.version} is not the one in package-lock.json: ${packed?.integrity}`)
  }
  must('tar', ['-xzf', packed.filename, '--strip-components=1'], home)
  return home
}
