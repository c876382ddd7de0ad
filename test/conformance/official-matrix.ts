import { TestNetwork } from '../network/test-network.ts'
import { runSuite, type SuiteResult } from './official-suite.ts'

/** How the registry is run under the official suite: every way of uploading over every kind of storage. */
export const officialMatrix = [
  { uploadMode: 'direct', storage: 'filesystem' },
  { uploadMode: 'relay', storage: 'filesystem' },
  { uploadMode: 'direct', storage: 's3' },
  { uploadMode: 'relay', storage: 's3' },
] as const

export type OfficialEntry = (typeof officialMatrix)[number]

export const officialVersions = ['1.1', 'dev'] as const

/** The whole network as an entry of the matrix wants it. */
export function startOfficialNetwork({ uploadMode, storage }: OfficialEntry): Promise<TestNetwork> {
  return TestNetwork.create({
    uploadMode,
    storage,
    // The suite's sparse image names a layer that was never pushed; the default refuses that.
    // A redirect ends at S3, which knows no Docker-Content-Digest and answers an impossible range with everything.
    appview: { server: { allow_sparse_images: true, redirect_blobs: storage === 'filesystem' } },
  })
}

/** Runs the suite once, signed in as alice, in repositories of its own. */
export function runOfficialSuite(
  program: string,
  network: TestNetwork,
  version: (typeof officialVersions)[number],
): Promise<SuiteResult> {
  const { handle, appPassword } = network.accounts.alice
  return runSuite(program, {
    registry: new URL(network.appview.url).host,
    repositories: [`${handle}/conformance-${version}/one`, `${handle}/conformance-${version}/two`],
    username: handle,
    password: appPassword,
    version,
  })
}
