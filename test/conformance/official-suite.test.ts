import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { TestNetwork } from '../network/test-network.ts'
import { buildSuite, isGoPresent, runSuite } from './official-suite.ts'

/**
 * Goal: the registry does what the distribution specification says. Method: the specification's own suite, signed in,
 * with a real PDS and a real hold behind the AppView.
 */
describe.each([
  ['direct', 'filesystem'],
  ['relay', 'filesystem'],
  ['direct', 's3'],
  ['relay', 's3'],
] as const)('the official OCI conformance suite, uploads %s, storage %s', (uploadMode, storage) => {
  let network: TestNetwork
  let program: string

  beforeAll(async () => {
    if (!isGoPresent())
      throw new Error(
        'Go is not on this machine: the official suite cannot be built, which counts as a failure',
      )
    program = buildSuite()
    network = await TestNetwork.create({
      uploadMode,
      storage,
      appview: {
        server: {
          // The suite's sparse image names a layer that was never pushed; the default refuses that.
          allow_sparse_images: true,
          // Behind a redirect S3 answers, which knows no `Docker-Content-Digest` and takes `500-0` for the whole blob.
          redirect_blobs: storage !== 's3',
        },
      },
    })
  }, 300_000)
  afterAll(() => network?.[Symbol.asyncDispose]())

  test.each(['1.1', 'dev'] as const)('version %s: nothing fails, nothing is skipped', async (version) => {
    const { handle, appPassword } = network.accounts.alice
    const result = await runSuite(program, {
      registry: new URL(network.appview.url).host,
      repositories: [`${handle}/conformance-${version}/one`, `${handle}/conformance-${version}/two`],
      username: handle,
      password: appPassword,
      version,
    })
    const { passed, failed, errors, skipped, disabled, durationSeconds, problems } = result
    console.log(`version ${version}: ${passed} pass, ${failed} fail, ${errors} error, ${skipped} skip, ${disabled} disabled in ${durationSeconds} s`) // prettier-ignore
    expect(problems).toEqual([])
    expect({ failed, errors, skipped, disabled }).toEqual({ failed: 0, errors: 0, skipped: 0, disabled: 0 })
    expect(passed).toBeGreaterThan(500)
  })
})
