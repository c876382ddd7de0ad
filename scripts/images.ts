/**
 * `npm run images [-- <option>… [<program>…]]`: container images of the programs, built by buildah of what is on this machine:
 * no registry, no container engine. What is in an image is staged below dist/images first.
 *
 *     --arch x64,arm64      architectures; this machine's unless told, an index when there are several
 *     --push <place>        push them to <place>/<program>, each with its SBOM: registry.example/alice.example
 *     --creds, --tls-verify as skopeo has them, for --push
 *     --built               push what the last run built, and build nothing
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
    built: { type: 'boolean', default: false },
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

const sbomFile = (program: ReleasedProgram, folder: string) => join(folder, `${program.name}.cdx.json`)

/** Stages a program for an architecture in `<folder>/image`; its SBOM lies beside. */
async function stage(
  program: ReleasedProgram,
  bundle: Bundle,
  architecture: string,
  folder: string,
): Promise<void> {
  const { debian, node } = systemFor(architecture)
  const contents = { program, npm: bundle.packages, debian: debian.packages, node, ...sources }
  const sbom = await sbomOf(contents)
  mkdirSync(folder, { recursive: true })
  makeRoot({ program, bundle, node: node.file, debian, sbom, folder: join(folder, 'image') })
  writeFileSync(sbomFile(program, folder), sbom)
}

/** Stages a program for all architectures and builds its image, or an index of images. */
async function build(program: ReleasedProgram): Promise<void> {
  const bundle = await bundleProgram(program, join(out, 'release', program.name))
  if (values.stage !== undefined) {
    await stage(program, bundle, process.arch, values.stage)
    return
  }
  const folders: Record<string, string> = {}
  for (const architecture of architectures) {
    const folder = join(out, program.name, architecture)
    await stage(program, bundle, architecture, folder)
    folders[architecture] = folder
  }
  buildImage(program, folders, sources)
  console.log(`built ${program.name}:latest for ${architectures.join(' and ')}`)
}

function push(program: ReleasedProgram, place: string): void {
  const options = Object.entries({ creds: values.creds, 'tls-verify': values['tls-verify'] })
  const given = options.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]))
  const sboms = architectures.map((it) => [it, sbomFile(program, join(out, program.name, it))])
  const destination = { repositories: place, options: given }
  const digest = pushImage(program, Object.fromEntries(sboms), destination)
  console.log(`pushed ${place}/${program.name}@${digest}, with its SBOM`)
}

for (const program of choosePrograms(positionals)) {
  if (!values.built) await build(program)
  if (values.push !== undefined) push(program, values.push)
}
