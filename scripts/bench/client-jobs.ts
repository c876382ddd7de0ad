import { fork, type ChildProcess } from 'node:child_process'

/** How the client is to reach a registry, and as whom. */
export interface Target {
  url: string
  repository: string
  authorization: string | undefined
}

/** How a layer goes up: its length announced and in one PUT, or as a stream of unknown length in a PATCH. */
export type PushShape = 'single' | 'streamed'

export interface PushJob {
  kind: 'push'
  target: Target
  imageCount: number
  layerSizes: readonly number[]
  /** How many of the layers are pushed before the clock runs. */
  presentLayerCount?: number
  shape: PushShape
  /** Images at once. */
  concurrency: number
  /** Blobs of one image at once. */
  blobConcurrency: number
  /** Tag of an image; `#` is its number. */
  tag: string
  /** Stop after the blobs. */
  isWithoutManifest?: boolean
}

export interface PullJob {
  kind: 'pull'
  target: Target
  tags: readonly string[]
  imageCount: number
  concurrency: number
}

export interface MixedJob {
  kind: 'mixed'
  target: Target
  tags: readonly string[]
  layerSize: number
  concurrency: number
  durationMs: number
  /** Of the operations, how many are pushes. */
  pushFraction: number
}

/** The same small request over and over. */
export interface RequestsJob {
  kind: 'requests'
  target: Target
  method: 'GET' | 'HEAD'
  /** Taken in turn. */
  paths: readonly string[]
  expectedStatus: number
  concurrency: number
  /** Over when either is reached. */
  durationMs: number
  countMax?: number
}

/** Only what images cost at the PDS of their owner. */
export interface PdsJob {
  kind: 'pds'
  url: string
  account: { did: string; handle: string; password: string }
  imageCount: number
  concurrency: number
}

export type Job = PushJob | PullJob | MixedJob | RequestsJob | PdsJob

export interface JobResult {
  wallMs: number
  bytes: number
  latenciesMs: number[]
  /** Of the pushes among them, in `mixed`. */
  pushLatenciesMs?: number[]
}

export type JobAnswer = { result: JobResult } | { error: string }

/** The client in a process of its own, so that its CPU is not the registry's. */
export class BenchClient implements AsyncDisposable {
  readonly #child: ChildProcess

  constructor() {
    this.#child = fork(new URL('./client.ts', import.meta.url), { serialization: 'advanced' })
    process.once('exit', () => this.#child.kill('SIGKILL'))
  }

  run(job: Job): Promise<JobResult> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error('the client ended'))
      this.#child.once('exit', ended)
      this.#child.once('message', (answer: JobAnswer) => {
        this.#child.off('exit', ended)
        if ('error' in answer) reject(new Error(`${job.kind}: ${answer.error}`))
        else resolve(answer.result)
      })
      this.#child.send(job)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill()
  }
}
