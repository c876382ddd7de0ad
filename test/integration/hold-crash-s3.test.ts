import { test } from 'vitest'

import { dieAtEveryPoint } from './crash/every-point.ts'
import { useHoldProcesses } from './crash/process.ts'

useHoldProcesses()

const mebibyte = 1024 * 1024

test.each([
  { mode: 'direct', driver: 's3', layerBytes: 9 * mebibyte, cutAt: 8.5 * mebibyte },
  { mode: 'relay', driver: 's3', layerBytes: 5 * mebibyte + 50, cutAt: 5 * mebibyte },
] as const)('kill -9 at every point of a push: $mode, $driver', { timeout: 1_800_000 }, dieAtEveryPoint)
