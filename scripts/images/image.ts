import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { version } from '../../src/lib/version.ts'
import type { ReleasedProgram } from '../release/programs.ts'
import { debianArchitectures } from './debian.ts'

/** The sources that images are built of. */
export interface Sources {
  /** `undefined` outside a git checkout. */
  revision: string | undefined
  /** When they were committed: the time of all that is built of them, so that the same sources give the same image. */
  at: Date
}

export function readSources(): Sources {
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%H %ct'], { encoding: 'utf8' })
  const [revision, seconds] = status === 0 ? stdout.trim().split(' ') : []
  const isChanged = spawnSync('git', ['diff', '--quiet', 'HEAD']).status !== 0
  const told = seconds ?? process.env['SOURCE_DATE_EPOCH']
  // Where nobody knows how old the sources are, an image is as old as its making.
  const at = told === undefined ? new Date() : new Date(Number(told) * 1000)
  return { revision: revision && isChanged ? `${revision}-changed` : revision, at }
}

const dockerfileOf = ({ name }: Pick<ReleasedProgram, 'name'>) =>
  name === 'atcr' ? 'deploy/Dockerfile' : `deploy/Dockerfile.${name.replace('atcr-', '')}`

/**
 * Builds an image of a staged folder, or an index of several architectures' images, in the storage that buildah is configured
 * for: `<name>:<version>` and `<name>:latest`. In Docker's format, because OCI's has no health checks.
 */
export function buildImage(
  program: ReleasedProgram,
  stages: Readonly<Record<string, string>>,
  { revision = '', at }: Sources,
): void {
  const names = [version, 'latest'].map((tag) => `${program.name}:${tag}`)
  const architectures = Object.keys(stages)
  const context = mkdtempSync(join(tmpdir(), 'atcr-image-'))
  try {
    // A list of this name from another time would get these images as well.
    if (architectures.length > 1) for (const name of names) spawnSync('buildah', ['rmi', '-f', name])
    for (const architecture of architectures) {
      const tags =
        architectures.length > 1 ? [`--manifest=${names[0]}`] : names.map((name) => `--tag=${name}`)
      run('buildah', [
        'bud',
        '--quiet',
        '--layers',
        '--isolation=chroot',
        '--format=docker',
        `--file=${dockerfileOf(program)}`,
        `--build-context=stage=${stages[architecture]}`,
        `--platform=linux/${debianArchitectures[architecture]}`,
        `--timestamp=${at.getTime() / 1000}`,
        `--build-arg=VERSION=${version}`,
        `--build-arg=REVISION=${revision}`,
        `--build-arg=CREATED=${at.toISOString()}`,
        ...tags,
        context,
      ])
    }
    if (architectures.length > 1) run('buildah', ['tag', names[0] as string, names[1] as string])
  } finally {
    rmSync(context, { recursive: true })
  }
}

/** An image that was pushed, or an index of images. */
interface Pushed {
  digest: string
  mediaType: string
  sizeBytes: number
}

/** Where images go: `registry.example/alice.example`; `options` are those of `skopeo copy` for destinations, without their `--dest`. */
export interface Destination {
  repositories: string
  options: readonly string[]
}

/** Pushes an image (or all images of an index), and after it what is in it, as an artifact that names it as its subject. */
export function pushImage(
  program: ReleasedProgram,
  sboms: Readonly<Record<string, string>>,
  destination: Destination,
): string {
  const repository = `docker://${destination.repositories}/${program.name}`
  const work = mkdtempSync(join(tmpdir(), 'atcr-push-'))
  try {
    const stored = join(work, 'image')
    // As it will be in the registry: only then does it have a digest to refer to.
    const isIndex = Object.keys(sboms).length > 1
    if (isIndex) run('buildah', ['manifest', 'push', '--all', `${program.name}:${version}`, `dir:${stored}`])
    else run('buildah', ['push', '--quiet', `${program.name}:${version}`, `dir:${stored}`])
    const copy = (from: string, to: string, ...more: string[]) =>
      run('skopeo', ['copy', '--quiet', '--preserve-digests', ...more, ...destination.options.map((it) => it.replace('--', '--dest-')), from, to]) // prettier-ignore
    for (const tag of [version, 'latest']) copy(`dir:${stored}`, `${repository}:${tag}`, ...(isIndex ? ['--all'] : [])) // prettier-ignore
    const top = readManifest(join(stored, 'manifest.json'))
    for (const [architecture, sbom] of Object.entries(sboms)) {
      const subject = isIndex ? childFor(stored, architecture) : top
      const layout = join(work, `sbom-${architecture}`)
      const digest = writeSbomArtifact(layout, readFileSync(sbom), subject)
      copy(`oci:${layout}:sbom`, `${repository}@${digest}`)
    }
    return top.digest
  } finally {
    rmSync(work, { recursive: true })
  }
}

function readManifest(file: string): Pushed {
  const bytes = readFileSync(file)
  const { mediaType } = JSON.parse(bytes.toString()) as { mediaType: string }
  return { digest: digestOf(bytes), mediaType, sizeBytes: bytes.length }
}

function childFor(stored: string, architecture: string): Pushed {
  const { manifests } = JSON.parse(readFileSync(join(stored, 'manifest.json'), 'utf8')) as {
    manifests: { digest: string; mediaType: string; size: number; platform: { architecture: string } }[]
  }
  const child = manifests.find((it) => it.platform.architecture === debianArchitectures[architecture])
  if (child === undefined) throw new Error(`the index has no image for ${architecture}`)
  return { digest: child.digest, mediaType: child.mediaType, sizeBytes: child.size }
}

const sbomType = 'application/vnd.cyclonedx+json'

/** An artifact as an OCI layout of its own, named `sbom` there. Gives its digest. */
function writeSbomArtifact(layout: string, sbom: Buffer, subject: Pushed): string {
  const write = (bytes: Buffer) => {
    const digest = digestOf(bytes)
    writeFileSync(join(layout, 'blobs/sha256', digest.slice('sha256:'.length)), bytes)
    return { digest, size: bytes.length }
  }
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true })
  const manifestType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    artifactType: sbomType,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', ...write(Buffer.from('{}')) },
    layers: [{ mediaType: sbomType, ...write(sbom) }],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.sizeBytes },
  }
  const written = write(Buffer.from(JSON.stringify(manifest)))
  const annotations = { 'org.opencontainers.image.ref.name': 'sbom' }
  const index = { schemaVersion: 2, manifests: [{ mediaType: manifestType, ...written, annotations }] }
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index))
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  return written.digest
}

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

function run(command: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (error !== undefined)
    throw new Error(`${command} is needed to build images: install it`, { cause: error })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}\nended with ${status}\n${stderr}${stdout}`)
}
