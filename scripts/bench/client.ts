/** The load client: takes jobs from its parent, one at a time, and answers with times. */
import { randomBytes } from 'node:crypto'

import type { Job, JobAnswer, JobResult, MixedJob, PullJob, PushJob, RequestsJob } from './client-jobs.ts'
import { ImagePuller } from './image-puller.ts'
import { ImagePusher, makeImage, type Image } from './image-pusher.ts'
import { pushToPds } from './pds-floor.ts'
import { RawConnection } from './raw-connection.ts'

process.on('message', (job: Job) => {
  void answer(job).then((message) => process.send?.(message))
})

async function answer(job: Job): Promise<JobAnswer> {
  try {
    return { result: await run(job) }
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

function run(job: Job): Promise<JobResult> {
  switch (job.kind) {
    case 'push':
      return push(job)
    case 'pull':
      return pull(job)
    case 'mixed':
      return mixed(job)
    case 'requests':
      return requests(job)
    case 'pds':
      return pushToPds(job)
  }
}

async function push(job: PushJob): Promise<JobResult> {
  const images = Array.from({ length: job.imageCount }, () => makeImage(job.layerSizes))
  const pusher = new ImagePusher(job.target)
  for (const image of images) {
    for (const layer of image.layers.slice(0, job.presentLayerCount ?? 0))
      await pusher.pushBlob(layer, job.shape)
  }
  return timed(job.concurrency, images.length, async (index) => {
    const image = images[index] as Image
    const tag = job.isWithoutManifest === true ? undefined : job.tag.replace('#', String(index))
    await pusher.pushImage(image, { tag, shape: job.shape, blobConcurrency: job.blobConcurrency })
    return image.layers.slice(job.presentLayerCount ?? 0).reduce((total, layer) => total + layer.sizeBytes, 0)
  })
}

async function pull(job: PullJob): Promise<JobResult> {
  const pullers = await openPullers(job)
  try {
    return await timed(job.concurrency, job.imageCount, (index, worker) =>
      (pullers[worker] as ImagePuller).pullImage(job.tags[index % job.tags.length] as string),
    )
  } finally {
    for (const puller of pullers) puller.close()
  }
}

async function mixed(job: MixedJob): Promise<JobResult> {
  const pusher = new ImagePusher(job.target)
  const pullers = await openPullers(job)
  const pushLatenciesMs: number[] = []
  const every = Math.round(1 / job.pushFraction)
  const endsAtMs = performance.now() + job.durationMs
  try {
    const result = await timed(job.concurrency, Number.POSITIVE_INFINITY, async (index, worker) => {
      if (performance.now() > endsAtMs) return undefined
      if (index % every !== 0) {
        return (pullers[worker] as ImagePuller).pullImage(job.tags[index % job.tags.length] as string)
      }
      const image = makeImage([job.layerSize])
      const startedAtMs = performance.now()
      await pusher.pushImage(image, { tag: `mixed-${randomBytes(4).toString('hex')}`, shape: 'single', blobConcurrency: 2 }) // prettier-ignore
      pushLatenciesMs.push(performance.now() - startedAtMs)
      return job.layerSize
    })
    return { ...result, pushLatenciesMs }
  } finally {
    for (const puller of pullers) puller.close()
  }
}

function openPullers({ target, tags, concurrency }: PullJob | MixedJob): Promise<ImagePuller[]> {
  const open = async () => {
    const puller = await ImagePuller.open(target)
    for (const tag of tags) await puller.learn(tag)
    return puller
  }
  return Promise.all(Array.from({ length: concurrency }, open))
}

async function requests(job: RequestsJob): Promise<JobResult> {
  const { target, method, paths, expectedStatus } = job
  const accept = 'application/vnd.oci.image.manifest.v1+json'
  const { authorization } = target
  const headers: Record<string, string> = authorization === undefined ? { accept } : { accept, authorization }
  const connections = await Promise.all(
    Array.from({ length: job.concurrency }, () => RawConnection.open(target.url)),
  )
  const endsAtMs = performance.now() + job.durationMs
  try {
    return await timed(job.concurrency, job.countMax ?? Number.POSITIVE_INFINITY, async (index, worker) => {
      if (performance.now() > endsAtMs) return undefined
      const path = paths[index % paths.length] as string
      const { status, bodyBytes } = await (connections[worker] as RawConnection).request(
        method,
        path,
        headers,
      )
      if (status !== expectedStatus) throw new Error(`${method} ${path} answered ${status}`)
      return bodyBytes
    })
  } finally {
    for (const connection of connections) connection.close()
  }
}

/** `count` actions, `concurrency` at a time; an action that answers undefined was not done and ends its worker. */
async function timed(
  concurrency: number,
  count: number,
  action: (index: number, worker: number) => Promise<number | undefined>,
): Promise<JobResult> {
  let next = 0
  let bytes = 0
  const latenciesMs: number[] = []
  const startedAtMs = performance.now()
  const work = async (worker: number) => {
    while (next < count) {
      const index = next++
      const beganAtMs = performance.now()
      const done = await action(index, worker)
      if (done === undefined) return
      bytes += done
      latenciesMs.push(performance.now() - beganAtMs)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, (_, worker) => work(worker)))
  return { wallMs: performance.now() - startedAtMs, bytes, latenciesMs }
}
