import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import type { Bundle } from '../release/bundle.ts'
import type { ReleasedProgram } from '../release/programs.ts'
import { copySystem, type DebianFiles } from './debian.ts'

/** Who runs in the image; without a name of its own nothing is missing, but logs and `ps` are nicer. */
const accounts = { 'etc/passwd': 'root:x:0:0:root:/:/nonexistent\natcr:x:65532:65532:ATCR:/var/lib/atcr:/nonexistent\n', 'etc/group': 'root:x:0:\natcr:x:65532:\n' } // prettier-ignore

export interface RootRequest {
  program: ReleasedProgram
  bundle: Bundle
  /** Path of an executable. */
  node: string
  debian: DebianFiles
  /** What is in the image, as CycloneDX. */
  sbom: string
  folder: string
}

/**
 * Makes the files of an image, in three folders: `system`, which all programs have alike and share as a layer; `program`; and
 * `data`, empty, for the volume. Their owners are the Dockerfile's business.
 */
export function makeRoot({ program, bundle, node, debian, sbom, folder }: RootRequest): void {
  rmSync(folder, { recursive: true, force: true })
  const system = join(folder, 'system')
  const write = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text, { mode })
  }
  mkdirSync(join(system, 'usr/bin'), { recursive: true })
  copyStripped(node, join(system, 'usr/bin/node'))
  copySystem(debian, node, system)
  for (const [path, text] of Object.entries(accounts)) write(`system/${path}`, text)
  // Hosts files first: as everywhere, and what `--add-host` of container engines writes.
  write('system/etc/nsswitch.conf', 'hosts: files dns\n')
  mkdirSync(join(system, 'tmp'))
  chmodSync(join(system, 'tmp'), 0o1777)
  mkdirSync(join(system, 'var/lib'), { recursive: true })

  const home = 'usr/lib/atcr'
  cpSync(bundle.folder, join(folder, 'program', home), { recursive: true })
  const command = `#!/usr/bin/node --enable-source-maps\nimport '/${home}/${program.name}.js'\n`
  write(`program/usr/bin/${program.name}`, command, 0o755)
  write(`program/usr/share/doc/atcr/${program.name}.cdx.json`, sbom)
  copyFileSync('LICENSE', join(folder, 'program/usr/share/doc/atcr/LICENSE'))
  mkdirSync(join(folder, 'data'), { mode: 0o750 })
}

/** Without the names of Node's own functions, a fifth of the file; stack traces of JavaScript do not need them. */
function copyStripped(from: string, to: string): void {
  // binutils know the machine's own architecture, LLVM all of them.
  const isStripped = ['strip', 'llvm-strip'].some((it) => spawnSync(it, ['-o', to, from]).status === 0)
  if (!isStripped) {
    console.log(`${from} is copied as it is: no strip for it is installed (binutils, or llvm for others' machines)`) // prettier-ignore
    copyFileSync(from, to)
  }
  chmodSync(to, 0o755)
}
