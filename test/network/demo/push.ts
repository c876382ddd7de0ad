import type { OciClient } from '../oci-client.ts'
import type { SampleBlob, SampleManifest } from '../sample-image.ts'
import { demoArtifact, type ArtifactRecipe } from './artifacts.ts'
import { demoImage, type DemoManifest, type ImageOf } from './images.ts'
import { recipes, type RecipeName } from './recipes.ts'
import { cycloneDx, demoIndex, sbomOf, signatureOf, spdx } from './supply-chain.ts'
import type { DemoPush } from './timeline.ts'

/** Somebody's registry client, and which blobs went where already. */
export interface Pusher {
  handle: string
  client: OciClient
  /** By digest, the repositories that have it. */
  pushed: Map<string, Set<string>>
}

/** What a push brings: manifests to be there first, the one that is tagged, and what points at that. */
interface Load {
  before: DemoManifest[]
  tagged: SampleManifest & { blobs?: SampleBlob[] }
  after: DemoManifest[]
}

/** Pushes one version as its tools would; answers what was tagged, and a manifest that a machine would pull. */
export async function pushDemo(pusher: Pusher, push: DemoPush, builtAt: Date): Promise<{ pulled: string }> {
  const name = `${pusher.handle}/${push.repository.name}`
  const load = loadOf(push, { repository: name, version: push.version, builtAt, about: push.repository.about }) // prettier-ignore
  const all = [...load.before, load.tagged, ...load.after]
  await pusher.client.authorize(name, 'pull,push')
  await Promise.all(blobsOf(all).map((blob) => pushBlob(pusher, name, blob)))
  await Promise.all(load.before.map((it) => pusher.client.pushManifest(name, it.digest, it)))
  const query = new URLSearchParams(push.tags.map((tag): [string, string] => ['tag', tag]))
  await pusher.client.pushManifest(name, `${load.tagged.digest}?${query.toString()}`, load.tagged)
  await Promise.all(load.after.map((it) => pusher.client.pushManifest(name, it.digest, it)))
  return { pulled: (load.before[0] ?? load.tagged).digest }
}

function loadOf({ isNewest, repository }: DemoPush, of: Omit<ImageOf, 'platform' | 'recipe'>): Load {
  const { isAttested = false, platforms = ['linux/amd64'], recipe, referrers = [] } = repository
  const main = isImage(recipe)
    ? imageLoad({ ...of, recipe }, { platforms, isAttested })
    : { before: [], tagged: demoArtifact(recipe, of) }
  const image = { ...of, recipe: 'base' as const }
  const after = (isNewest ? referrers : []).map((kind) => {
    if (kind === 'signature') return signatureOf(main.tagged, repository.owner, of.builtAt)
    return sbomOf(image, main.tagged, kind === 'spdx' ? spdx : cycloneDx)
  })
  return { ...main, after }
}

function imageLoad(
  image: Omit<ImageOf, 'platform'>,
  options: { platforms: readonly string[]; isAttested: boolean },
): Omit<Load, 'after'> {
  const [platform = '', ...others] = options.platforms
  if (others.length === 0) return { before: [], tagged: demoImage({ ...image, platform }) }
  const { children, index } = demoIndex(image, options)
  return { before: children, tagged: index }
}

const isImage = (recipe: RecipeName | ArtifactRecipe): recipe is RecipeName => Object.hasOwn(recipes, recipe)

function blobsOf(manifests: readonly { blobs?: SampleBlob[] }[]): SampleBlob[] {
  return [
    ...new Map(manifests.flatMap(({ blobs = [] }) => blobs).map((blob) => [blob.digest, blob])).values(),
  ]
}

async function pushBlob({ client, pushed }: Pusher, name: string, blob: SampleBlob): Promise<void> {
  const places = pushed.get(blob.digest) ?? new Set()
  if (places.has(name)) return
  const [elsewhere] = places
  if (elsewhere === undefined || !(await client.mountBlob(name, blob.digest, elsewhere))) {
    await client.pushBlob(name, blob, 'post-put')
  }
  pushed.set(blob.digest, places.add(name))
}
