/**
 * `npm run images [-- <option>… [<program>…]]`: container images of the programs, built by buildah of what is on this machine:
 * no registry, no container engine. What is in an image is staged below dist/images first.
 *
 *     --arch x64,arm64      architectures; this machine's unless told, an index when there are several
 *     --push <place>        push them to <place>/<program>, each with its SBOM: registry.example/alice.example
 *     --creds, --tls-verify as skopeo has them, for --push
 *     --node <file>         the Node of the images; the lock file's unless told
 *     --stage <folder>      only stage one program, in <folder>/image: what Dockerfiles do
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { fetchDebianFiles, type DebianFiles } from './images/debian.ts'
import { buildImage, pushImage, readSources } from './images/image.ts'
import { findNode, type NodeExecutable } from './images/node.ts'
import { makeRoot } from './images/root.ts'
import { sbomOf } from './images/sbom.ts'
import { bundleProgram, type Bundle } from './release/bundle.ts'
import { choosePrograms, type ReleasedProgram } from './release/programs.ts'

const { values, positionals } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch },
    node: { type: 'string' },
    stage: { type: 'string' },
    push: { type: 'string' },
    creds: { type: 'string' },
    'tls-verify': { type: 'string' },
    out: { type: 'string', default: 'dist/images' },
  },
  allowPositionals: true,
})
const out = resolve(values.out)
const architectures = values.arch.split(',')
const sources = readSources()

/** What all programs of an architecture have alike is fetched once. */
const systems = new Map<string, { debian: DebianFiles; node: NodeExecutable }>()
function systemFor(architecture: string) {
  const known = systems.get(architecture)
  if (known !== undefined) return known
  const debian = fetchDebianFiles(architecture, join(out, 'debian'))
  const system = { debian, node: findNode(architecture, values.node, join(out, 'node')) }
  systems.set(architecture, system)
  return system
}

/** Stages a program for an architecture in `<folder>/image`; its SBOM lies beside. */
async function stage(
  program: ReleasedProgram,
  bundle: Bundle,
  architecture: string,
  folder: string,
): Promise<string> {
  const { debian, node } = systemFor(architecture)
  const contents = { program, npm: bundle.packages, debian: debian.packages, node, ...sources }
  const sbom = await sbomOf(contents)
  mkdirSync(folder, { recursive: true })
  makeRoot({ program, bundle, node: node.file, debian, sbom, folder: join(folder, 'image') })
  const file = join(folder, `${program.name}.cdx.json`)
  writeFileSync(file, sbom)
  return file
}

for (const program of choosePrograms(positionals)) {
  const bundle = await bundleProgram(program, join(out, 'release', program.name))
  if (values.stage !== undefined) {
    await stage(program, bundle, process.arch, values.stage)
    continue
  }
  const folders: Record<string, string> = {}
  const sboms: Record<string, string> = {}
  for (const architecture of architectures) {
    const folder = join(out, program.name, architecture)
    folders[architecture] = folder
    sboms[architecture] = await stage(program, bundle, architecture, folder)
  }
  buildImage(program, folders, sources)
  console.log(`built ${program.name}:latest for ${architectures.join(' and ')}`)
  if (values.push === undefined) continue
  const options = Object.entries({ creds: values.creds, 'tls-verify': values['tls-verify'] })
  const given = options.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]))
  const digest = pushImage(program, sboms, { repositories: values.push, options: given })
  console.log(`pushed ${values.push}/${program.name}@${digest}, with its SBOM`)
}
