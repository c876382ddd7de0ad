import { test } from 'vitest'

import { dieAtEveryPoint } from './crash/every-point.ts'
import { useHoldProcesses } from './crash/process.ts'

useHoldProcesses()

test.each([
  { mode: 'direct', driver: 'filesystem', layerBytes: 300_000, cutAt: 100_000 },
  { mode: 'relay', driver: 'filesystem', layerBytes: 300_000, cutAt: 100_000 },
] as const)('kill -9 at every point of a push: $mode, $driver', { timeout: 1_800_000 }, dieAtEveryPoint)
