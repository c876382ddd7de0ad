import { sha256OfFile } from '../../src/credential-helper/file-digest.ts'
import { version } from '../../src/lib/version.ts'
import type { NpmPackage } from '../release/npm-packages.ts'
import type { ReleasedProgram } from '../release/programs.ts'
import type { DebianPackage } from './debian.ts'
import type { NodeExecutable } from './node.ts'

/** What {@link sbomOf} lists. */
export interface Contents {
  program: ReleasedProgram
  npm: readonly NpmPackage[]
  debian: readonly DebianPackage[]
  /** Before it was stripped. */
  node: NodeExecutable
  /** Revision of the sources, where it is known. */
  revision: string | undefined
  /** Of the sources. */
  at: Date
}

/**
 * What is in an image, as CycloneDX 1.6: the npm packages whose code is in the bundle (not all that are installed to
 * build it), Node, and the packages of Debian. The same contents give the same text.
 */
export async function sbomOf({ program, npm, debian, node, revision, at }: Contents): Promise<string> {
  const components = [
    {
      type: 'platform',
      name: 'node',
      version: node.version,
      purl: `pkg:generic/node@${node.version}?arch=${node.architecture}`,
      hashes: [{ alg: 'SHA-256', content: await sha256OfFile(node.file) }],
      licenses: [{ license: { id: 'MIT' } }],
    },
    ...debian.map(({ name, version, architecture }) => ({
      type: 'library',
      name,
      version,
      purl: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}&distro=debian-12`,
    })),
    ...npm.map(({ name, version, license }) => ({
      type: 'library',
      name,
      version,
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
      ...(typeof license === 'string' && { licenses: [{ expression: license }] }),
    })),
  ].map((it) => ({ ...it, 'bom-ref': it.purl }))
  const revisions =
    revision === undefined ? [] : [{ name: 'org.opencontainers.image.revision', value: revision }]
  const bom = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: at.toISOString(),
      component: {
        type: 'application',
        name: program.name,
        version,
        description: program.description,
        'bom-ref': program.name,
        licenses: [{ license: { id: 'MIT' } }],
        properties: revisions,
      },
    },
    components,
    dependencies: [{ ref: program.name, dependsOn: components.map(({ purl }) => purl) }],
  }
  return `${JSON.stringify(bom, undefined, 1)}\n`
}
