import type { WriteStream } from 'node:tty'

import type { Now } from '../../lib/clock.ts'
import { formatSize } from '../../lib/format-size.ts'
import type { MigrationProgress } from '../services/blob-migration.ts'
import { ProgressLine } from './progress-line.ts'

/** A line that is written over may come often; one that stays, in a log, seldom. */
const overwriteMs = 500
const lineMs = 30_000

/** Says how far copying has come: one line that changes on a terminal, a line now and then elsewhere. */
export class ProgressReport {
  readonly #out: Pick<WriteStream, 'isTTY' | 'write'>
  readonly #line: ProgressLine
  readonly #now: Now
  readonly #startedAtMs: number
  #toldAtMs: number

  constructor(needs: { out: Pick<WriteStream, 'isTTY' | 'write'>; now: Now }) {
    this.#out = needs.out
    this.#line = new ProgressLine(needs.out)
    this.#now = needs.now
    this.#startedAtMs = needs.now().getTime()
    this.#toldAtMs = this.#startedAtMs
  }

  /** To be called as often as there is news. */
  tell(progress: Readonly<MigrationProgress>): void {
    const nowMs = this.#now().getTime()
    if (nowMs - this.#toldAtMs < (this.#out.isTTY ? overwriteMs : lineMs)) return
    this.#toldAtMs = nowMs
    const line = progressLine(progress, (nowMs - this.#startedAtMs) / 1000)
    if (this.#out.isTTY) this.#line.show(line)
    else this.#out.write(`${line}\n`)
  }

  /** Leaves the line that changes behind. */
  end(): void {
    this.#line.end()
  }
}

/** `12 of 340 blobs, 1.2 GB of 88 GB, 54 MB/s, about 27 min left` */
export function progressLine(progress: Readonly<MigrationProgress>, elapsedSeconds: number): string {
  const { blobsDone, blobsTotal, bytesDone, bytesTotal, bytesMoved } = progress
  const rate = elapsedSeconds > 0 ? bytesMoved / elapsedSeconds : 0
  const parts = [
    `${blobsDone} of ${blobsTotal} blobs`,
    `${formatSize(bytesDone)} of ${formatSize(bytesTotal)}`,
    `${formatSize(rate)}/s`,
  ]
  const leftSeconds = (bytesTotal - bytesDone) / rate
  if (Number.isFinite(leftSeconds) && leftSeconds > 0) parts.push(`about ${formatDuration(leftSeconds)} left`)
  return parts.join(', ')
}

function formatDuration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  if (seconds < 90 * 60) return `${Math.ceil(seconds / 60)} min`
  return `${Math.ceil(seconds / 3600)} h`
}
