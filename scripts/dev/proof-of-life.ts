import { OciClient } from '../../test/network/oci-client.ts'
import { imageOfFiles } from '../../test/network/sample-image.ts'
import type { TestNetwork } from '../../test/network/test-network.ts'

export const sampleRepository = 'alice.test/hello'

/** Pushes a small image as alice and pulls it as nobody in particular; throws unless every byte comes back. */
export async function proveLife(network: TestNetwork): Promise<{ digest: string; byteCount: number }> {
  const { handle, appPassword } = network.accounts.alice
  const registryUrl = network.appview.url
  const image = imageOfFiles({ 'hello.txt': 'Hello from the AT Protocol.\n' })
  await new OciClient({ registryUrl, username: handle, password: appPassword }).pushImage(
    sampleRepository,
    image,
    'latest',
  )
  const reader = new OciClient({ registryUrl })
  const manifest = await reader.pullManifest(sampleRepository, 'latest')
  assertSame('the manifest', manifest.bytes, image.bytes)
  let byteCount = manifest.bytes.byteLength
  for (const blob of image.blobs) {
    const response = await reader.pullBlob(sampleRepository, blob.digest)
    const bytes = new Uint8Array(await response.arrayBuffer())
    for await (const pushed of blob.bytes()) assertSame(blob.digest, bytes, pushed)
    byteCount += bytes.byteLength
  }
  return { digest: image.digest, byteCount }
}

function assertSame(what: string, pulled: Uint8Array, pushed: Uint8Array): void {
  if (Buffer.compare(pulled, pushed) !== 0)
    throw new Error(`${what} came back different from what was pushed`)
}
