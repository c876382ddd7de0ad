import { expect, test } from 'vitest'

import { parseDigest } from '../../../protocol/oci/digest.ts'
import { pullCommands, pullGuides, registryAddress, type PullTarget } from './pull-commands.ts'

const registry = registryAddress({ baseUrl: 'https://registry.example' })
const local = registryAddress({ baseUrl: 'http://127.0.0.1:5000' })
const image = { kind: 'image', reference: { tag: 'v1' }, isPrivate: false, isSigned: false, user: 'alice.test' } satisfies PullTarget // prettier-ignore

/** All lines of all guides, by client. */
const linesOf = (address: typeof registry, change: Partial<PullTarget> = {}) =>
  Object.fromEntries(
    pullGuides(address, 'alice.test/team/App_x', { ...image, ...change }).map(({ client, steps }) => [
      client,
      steps.map(({ text }) => text),
    ]),
  )

test('an image, as each client wants to hear it', () => {
  const name = 'registry.example/alice.test/team/App_x:v1'
  expect(linesOf(registry)).toEqual({
    docker: [`docker pull ${name}`],
    podman: [`podman pull ${name}`],
    containerd: [`nerdctl pull ${name}`, `ctr images pull ${name}`],
    Kubernetes: [
      `apiVersion: v1\nkind: Pod\nmetadata:\n  name: "app-x"\nspec:\n  containers:\n    - name: main\n      image: ${name}`,
    ],
    'GitHub Actions': [`- run: docker pull ${name}`],
    skopeo: [`skopeo copy docker://${name} oci:App_x:v1`],
  })
})

test('plain HTTP is told to those who want to know', () => {
  const name = '127.0.0.1:5000/alice.test/team/App_x:v1'
  const lines = linesOf(local, { isSigned: true })
  expect(lines['docker']).toEqual([`docker pull ${name}`])
  expect(lines['podman']).toEqual([`podman pull --tls-verify=false ${name}`])
  expect(lines['containerd']).toEqual([
    `nerdctl --insecure-registry pull ${name}`,
    `ctr images pull --plain-http ${name}`,
  ])
  expect(lines['skopeo']).toEqual([`skopeo copy --src-tls-verify=false docker://${name} oci:App_x:v1`])
  expect(lines['cosign']).toEqual([`cosign verify --allow-http-registry --key cosign.pub ${name}`])
  expect(linesOf(local, { kind: 'artifact' })['oras']).toEqual([`oras pull --plain-http ${name}`])
  // Docker takes loopback for insecure by itself, and nothing else.
  const notes = (address: string) => pullGuides(registryAddress({ baseUrl: address }), 'a/b', image)[0]?.note
  expect(notes('http://127.0.0.1:5000')).toBeUndefined()
  expect(notes('http://registry.lan:5000')).toContain('insecure-registries')
})

test('a private image is signed in for first', () => {
  const lines = linesOf(registry, { isPrivate: true })
  expect(lines['docker']?.[0]).toBe('docker login registry.example -u alice.test')
  expect(lines['podman']?.[0]).toBe('podman login registry.example -u alice.test')
  expect(lines['containerd']?.[0]).toBe('nerdctl login registry.example -u alice.test')
  expect(lines['containerd']?.[2]).toContain('ctr images pull --user alice.test registry.example/')
  expect(lines['Kubernetes']?.[0]).toContain('kubectl create secret docker-registry atcr')
  expect(lines['Kubernetes']?.[1]).toContain('  imagePullSecrets:\n    - name: atcr\n')
  expect(lines['GitHub Actions']?.[0]).toContain('docker/login-action')
  expect(linesOf(local, { isPrivate: true, kind: 'helm' })['helm']?.[0]).toBe(
    'helm registry login --plain-http 127.0.0.1:5000 -u alice.test',
  )
})

test('a chart and an artifact have clients of their own', () => {
  const base = 'registry.example/alice.test/team/App_x'
  expect(linesOf(registry, { kind: 'helm', reference: { tag: '1.2.0_build.7' } })['helm']).toEqual([
    `helm pull oci://${base} --version 1.2.0+build.7`,
    `helm install app-x oci://${base} --version 1.2.0+build.7`,
  ])
  const digest = parseDigest(`sha256:${'ab'.repeat(32)}`)
  expect(Object.keys(linesOf(registry, { kind: 'artifact', reference: { digest } }))).toEqual([
    'oras',
    'skopeo',
  ])
  expect(linesOf(registry, { kind: 'artifact', reference: { digest } })['skopeo']).toEqual([
    `skopeo copy docker://${base}@${digest} oci:App_x:digest`,
  ])
})

test('where one line must do, it is the one without a login', () => {
  expect(pullCommands(registry, 'a/b', image).map(({ client, command }) => [client, command])).toEqual([
    ['docker', 'docker pull registry.example/a/b:v1'],
    ['podman', 'podman pull registry.example/a/b:v1'],
    ['skopeo', 'skopeo copy docker://registry.example/a/b:v1 oci:b:v1'],
  ])
})
