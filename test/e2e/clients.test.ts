import { rm } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { TestNetwork } from '../network/test-network.ts'
import { mustRun, run } from './command.ts'
import { OciLayout, verifiedBlobs } from './oci-layout.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

/**
 * Goal: the registry works for the clients people have. Method: the real programs against the whole network,
 * byte-compared by digest, in both upload modes.
 */
describe.each(['direct', 'relay'] as const)('uploads go %s', (uploadMode) => {
  let network: TestNetwork
  let folder: string
  let registry: string

  beforeAll(async () => {
    folder = await makeTemporaryFolder('atcr-clients')
    network = await TestNetwork.create({ uploadMode })
    registry = new URL(network.appview.url).host
  })
  afterAll(async () => {
    await network[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const credentials = () => `${network.accounts.alice.handle}:${network.accounts.alice.appPassword}`
  const layout = (name: string) => OciLayout.create(join(folder, name))

  async function push(source: string, repository: string, ...extra: string[]): Promise<void> {
    await mustRun('skopeo', ['copy', '--dest-tls-verify=false', '--dest-creds', credentials(), ...extra, source, `docker://${registry}/${repository}`]) // prettier-ignore
  }
  async function pull(repository: string, name: string, ...extra: string[]): Promise<string> {
    const target = join(folder, name)
    await mustRun('skopeo', ['copy', '--src-no-creds', '--src-tls-verify=false', ...extra, `docker://${registry}/${repository}`, `oci:${target}:out`]) // prettier-ignore
    return target
  }

  test('skopeo pushes an image signed in and pulls it anonymously, byte for byte', async () => {
    const source = await layout('small')
    const image = await source.addImage('v1', [3000, 50_000])
    await push(`oci:${source.path}:v1`, 'alice.test/small:v1')
    const pulled = await pull('alice.test/small:v1', 'small-pulled')
    expect(await verifiedBlobs(pulled)).toEqual(await verifiedBlobs(source.path))
    const digest = await mustRun('skopeo', ['inspect', '--no-creds', '--tls-verify=false', '--format', '{{.Digest}}', `docker://${registry}/alice.test/small:v1`]) // prettier-ignore
    expect(digest.trim()).toBe(image.digest)
  })

  test('skopeo pushes and pulls a multi-arch index with all its images', async () => {
    const source = await layout('multi')
    await source.addIndex('v1', ['amd64', 'arm64', 'riscv64'])
    await push(`oci:${source.path}:v1`, 'alice.test/team/multi:v1', '--all')
    const pulled = await pull('alice.test/team/multi:v1', 'multi-pulled', '--all')
    expect(await verifiedBlobs(pulled)).toEqual(await verifiedBlobs(source.path))
  })

  test('a layer of 200 MiB goes up and comes down whole', async () => {
    const source = await layout('large')
    await source.addImage('v1', [200 * 2 ** 20])
    // Without this skopeo compresses the layer on its way, and the digests differ.
    await push(`oci:${source.path}:v1`, 'alice.test/large:v1', '--preserve-digests')
    const pulled = await pull('alice.test/large:v1', 'large-pulled', '--preserve-digests')
    expect(await verifiedBlobs(pulled)).toEqual(await verifiedBlobs(source.path))
  })

  test('a pushed image is a signed record at its owner, and its layers are in the hold', async () => {
    const source = await layout('record')
    const image = await source.addImage('v1', [1000])
    await push(`oci:${source.path}:v1`, 'alice.test/record:v1')
    const { did } = network.accounts.alice
    const query = `repo=${did}&collection=io.atcr.manifest&rkey=${image.digest.slice('sha256:'.length)}`
    const answer = await fetch(`${network.pds.url}/xrpc/com.atproto.repo.getRecord?${query}`)
    const { value } = (await answer.json()) as { value: Record<string, unknown> }
    expect(value).toMatchObject({ digest: image.digest, repository: 'record', holdDid: network.hold.did })
    const [layer] = value['layers'] as { digest: string }[]
    const blob = await fetch(
      `${network.hold.url}/xrpc/com.atproto.sync.getBlob?did=${did}&cid=${layer?.digest}`,
    )
    const { url } = (await blob.json()) as { url: string }
    expect((await fetch(url)).status).toBe(200)
  })

  test('tags are listed, and an image is deleted by its client', async () => {
    const source = await layout('tags')
    await source.addImage('v1', [1000])
    await push(`oci:${source.path}:v1`, 'alice.test/tags:v1')
    await push(`oci:${source.path}:v1`, 'alice.test/tags:latest')
    const list = await mustRun('skopeo', ['list-tags', '--no-creds', '--tls-verify=false', `docker://${registry}/alice.test/tags`]) // prettier-ignore
    expect((JSON.parse(list) as { Tags: string[] }).Tags).toEqual(['latest', 'v1'])
    await mustRun('skopeo', ['delete', '--tls-verify=false', '--creds', credentials(), `docker://${registry}/alice.test/tags:v1`]) // prettier-ignore
    const gone = await run('skopeo', ['inspect', '--no-creds', '--tls-verify=false', `docker://${registry}/alice.test/tags:v1`]) // prettier-ignore
    expect(gone.status).not.toBe(0)
    expect(gone.stderr).toMatch(/manifest unknown/i)
  })

  test('a DID in the name is the same repository', async () => {
    const source = await layout('did')
    await source.addImage('v1', [1000])
    const alias = network.accounts.alice.did.replaceAll(':', '-')
    await push(`oci:${source.path}:v1`, `${alias}/by-did:v1`)
    expect(await verifiedBlobs(await pull('alice.test/by-did:v1', 'did-pulled'))).toEqual(
      await verifiedBlobs(source.path),
    )
  })

  test('a wrong password, an anonymous push and another owner are each refused in words', async () => {
    const source = await layout('refused')
    await source.addImage('v1', [1000])
    const attempt = (repository: string, ...extra: string[]) =>
      run('skopeo', ['copy', '--dest-tls-verify=false', ...extra, `oci:${source.path}:v1`, `docker://${registry}/${repository}`]) // prettier-ignore
    const wrong = await attempt('alice.test/refused:v1', '--dest-creds', 'alice.test:wrong-password')
    expect(wrong.status).not.toBe(0)
    expect(wrong.stderr).toMatch(/unauthorized|authentication|invalid username/i)
    const anonymous = await attempt('alice.test/refused:v1', '--dest-no-creds')
    expect(anonymous.status).not.toBe(0)
    expect(anonymous.stderr).toMatch(/unauthorized|denied|authentication required/i)
    const foreign = await attempt('bob.test/refused:v1', '--dest-creds', credentials())
    expect(foreign.status).not.toBe(0)
    expect(foreign.stderr).toMatch(/denied|unauthorized|authentication required/i)
  })

  test('podman builds on nothing but itself: login, push, pull', async () => {
    const source = await layout('podman')
    await source.addImage('v1', [2000, 3000])
    const storage = ['--root', join(folder, 'podman-root'), '--runroot', join(folder, 'podman-run'), '--storage-driver', 'vfs'] // prettier-ignore
    const auth = join(folder, 'podman-auth.json')
    const podman = (...args: string[]) =>
      mustRun('podman', [...storage, ...args], { REGISTRY_AUTH_FILE: auth })
    const { handle, appPassword } = network.accounts.alice
    await podman('login', '--tls-verify=false', '-u', handle, '-p', appPassword, registry)
    await podman('pull', '-q', `oci:${source.path}:v1`)
    const id = (await podman('images', '-q', '--no-trunc')).trim().split('\n')[0] as string
    await podman('push', '-q', '--tls-verify=false', id, `${registry}/alice.test/podman:v1`)
    await podman('rmi', '-f', id)
    await podman('logout', registry)
    await podman('pull', '-q', '--tls-verify=false', `${registry}/alice.test/podman:v1`)
    expect((await podman('images', '-q', '--no-trunc')).trim()).toBe(id)
  })
})
