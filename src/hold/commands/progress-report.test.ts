import { expect, test } from 'vitest'

import type { MigrationProgress } from '../services/blob-migration.ts'
import { progressLine, ProgressReport } from './progress-report.ts'

const progress: MigrationProgress = {
  blobsTotal: 340,
  bytesTotal: 88e9,
  bytesMoved: 1.1e9,
  blobsDone: 12,
  bytesDone: 1e9,
  blobsCopied: 12,
  bytesCopied: 1e9,
  blobsPresent: 0,
  rotten: [],
}

test.each([
  [progress, 20, '12 of 340 blobs, 1.0 GB of 88 GB, 55 MB/s, about 27 min left'],
  [{ ...progress, bytesDone: 87.9e9 }, 2, '12 of 340 blobs, 88 GB of 88 GB, 550 MB/s, about 1 s left'],
  [{ ...progress, bytesMoved: 1e6 }, 10, '12 of 340 blobs, 1.0 GB of 88 GB, 100 kB/s, about 242 h left'],
  [{ ...progress, bytesDone: 88e9, blobsDone: 340 }, 10, '340 of 340 blobs, 88 GB of 88 GB, 110 MB/s'],
  [{ ...progress, bytesMoved: 0 }, 0, '12 of 340 blobs, 1.0 GB of 88 GB, 0 B/s'],
])('how far copying has come: %#', (state, seconds, line) => {
  expect(progressLine(state, seconds)).toBe(line)
})

test.each([
  [true, 3],
  [false, 1],
])('on a terminal: %s', (isTTY, writesWanted) => {
  let nowMs = 0
  const writes: string[] = []
  const write = (text: unknown) => writes.push(String(text)) > 0
  const report = new ProgressReport({ out: { isTTY, write }, now: () => new Date(nowMs) })
  for (; nowMs <= 31_000; nowMs += 15_500) report.tell(progress)
  report.end()
  expect(writes).toHaveLength(writesWanted)
})
