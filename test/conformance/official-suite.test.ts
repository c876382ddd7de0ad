import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { TestNetwork } from '../network/test-network.ts'
import {
  officialMatrix,
  officialVersions,
  runOfficialSuite,
  startOfficialNetwork,
} from './official-matrix.ts'
import { buildSuite } from './official-suite.ts'

/**
 * Goal: the registry does what the distribution specification says. Method: the specification's own suite, signed in,
 * with a real PDS and a real hold behind the AppView.
 */
describe.each(officialMatrix)('the official suite, uploads $uploadMode, storage $storage', (entry) => {
  let network: TestNetwork
  let program: string

  beforeAll(async () => {
    program = buildSuite()
    network = await startOfficialNetwork(entry)
  }, 300_000)
  afterAll(() => network?.[Symbol.asyncDispose]())

  test.each(officialVersions)('version %s: nothing fails, nothing is skipped', async (version) => {
    const { passed, failed, errors, skipped, disabled, durationSeconds, problems } = await runOfficialSuite(program, network, version) // prettier-ignore
    console.log(`version ${version}: ${passed} pass, ${failed} fail, ${errors} error, ${skipped} skip, ${disabled} disabled in ${durationSeconds} s`) // prettier-ignore
    expect(problems).toEqual([])
    expect({ failed, errors, skipped, disabled }).toEqual({ failed: 0, errors: 0, skipped: 0, disabled: 0 })
    expect(passed).toBeGreaterThan(1000)
  })
})
