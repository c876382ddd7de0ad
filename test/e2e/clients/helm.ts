import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { randomId, sha256Hex } from '../../../src/lib/ids.ts'
import { mustRun, run } from '../command.ts'
import { OciLayout, readBlob, readManifest } from '../oci-layout.ts'
import { repositoryOf } from './artifact.ts'
import type { Client, ClientOptions, LocalImage, Pulled } from './client.ts'
import { sourceOf } from './go-clients.ts'
import { loggedOut } from './logged-out.ts'

/** Helm keeps charts in registries: the tag is the chart's version, the end of the repository its name. */
export const helm = sourceOf(
  { name: 'helm', package: 'helm.sh/helm/v3/cmd/helm', version: 'v3.22.0' },
  startHelm,
  {
    isStayingAtRegistry: true,
    lacks: { copy: 'no such command', index: 'charts only', artifact: 'charts only' },
  },
)

async function startHelm(program: string, version: string, options: ClientOptions): Promise<Client> {
  const { registry, folder } = options
  const home = { HELM_CONFIG_HOME: folder, HELM_CACHE_HOME: folder, HELM_DATA_HOME: folder }
  const helm = (...args: string[]) => mustRun(program, args, home)
  const remote = (repository: string) => `oci://${registry}/${repository}`

  /** A chart as Helm packs it, in a manifest as Helm writes it. */
  async function makeImage(name: string): Promise<LocalImage> {
    const chart = join(folder, 'charts', name)
    await mkdir(dirname(chart), { recursive: true })
    await helm('create', chart)
    await helm('package', chart, '--destination', chart, '--version', '1.0.0')
    const layoutPath = join(folder, `layout-${name}`)
    const layout = await OciLayout.create(layoutPath)
    const descriptor = await layout.addArtifact('1.0.0', {
      config: {
        mediaType: 'application/vnd.cncf.helm.config.v1+json',
        bytes: Buffer.from(JSON.stringify({ name, version: '1.0.0', apiVersion: 'v2', type: 'application' })),
      },
      layer: {
        mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
        bytes: await readFile(join(chart, `${name}-1.0.0.tgz`)),
      },
    })
    return { layoutPath, tag: '1.0.0', descriptor }
  }
  async function pull(reference: string): Promise<Pulled> {
    const [repository = '', chartVersion = ''] = reference.split(':')
    const target = join(folder, `pulled-${randomId(6)}`)
    await mkdir(target)
    const options = ['--version', chartVersion, '--plain-http', '-d', target]
    // It tells the digest among the messages.
    const { status, stderr } = await run(program, ['pull', remote(repository), ...options], home)
    if (status !== 0) throw new Error(`helm pull ended with ${status}: ${stderr}`)
    const [file = ''] = await readdir(target)
    return {
      digest: /^Digest: (\S+)$/m.exec(stderr)?.[1] ?? '',
      blobDigest: `sha256:${sha256Hex(await readFile(join(target, file)))}`,
    }
  }
  const logout = async () => {
    await mkdir(join(folder, 'registry'), { recursive: true })
    await writeFile(join(folder, 'registry', 'config.json'), loggedOut)
  }
  await logout()
  return {
    version,
    async login({ username, password }) {
      await helm('registry', 'login', '--plain-http', '-u', username, '-p', password, registry)
    },
    logout,
    makeImage,
    async push(image, reference) {
      const repository = repositoryOf(reference)
      const name = basename(repository)
      const { layers = [] } = await readManifest(image.layoutPath, image.descriptor.digest)
      const file = join(folder, `${name}-1.0.0.tgz`)
      await writeFile(file, await readBlob(image.layoutPath, layers[0]?.digest ?? ''))
      await helm('push', file, remote(dirname(repository)), '--plain-http')
    },
    pull,
    async [Symbol.asyncDispose]() {},
  }
}
