import { describe, expect, test } from 'vitest'

import { findOwner, guessOwner } from './image-owner.ts'
import type { ProcessTable } from './process-table.ts'

const known = (owner: string) => ['alice.example', 'bob.example'].includes(owner)

describe('findOwner', () => {
  test.each([
    ['docker push registry.example/alice.example/app', 'alice.example'],
    ['docker push registry.example/alice.example/app:tag', 'alice.example'],
    ['docker pull registry.example/bob.example/deep/app@sha256:00', 'bob.example'],
    ['skopeo copy oci:x docker://registry.example/bob.example/app', 'bob.example'],
    ['podman push app docker://Registry.Example/Alice.Example/app', 'alice.example'],
    [
      'skopeo copy docker://registry.example/alice.example/a docker://registry.example/bob.example/a',
      'bob.example',
    ],
    ['docker buildx build --output=type=image,name=registry.example/bob.example/app .', 'bob.example'],
    [
      'docker build -t registry.example/alice.example/a --cache-from registry.example/bob.example/a .',
      'alice.example',
    ],
    [
      'docker build --tag=registry.example/alice.example/a --cache-from registry.example/bob.example/a .',
      'alice.example',
    ],
    ['sh -c docker push registry.example/alice.example/app && true', 'alice.example'],
  ])('%s: %s', (line, owner) => {
    expect(findOwner(line.split(' '), 'registry.example', known)).toBe(owner)
  })

  test.each([
    ['nobody who is signed in', 'docker push registry.example/carol.example/app'],
    ['another registry', 'docker push other.example/alice.example/app'],
    ['a registry whose name ends alike', 'docker push my-registry.example/alice.example/app'],
    ['a dot is no wildcard', 'docker push registryxexample/alice.example/app'],
    ['another port', 'docker push registry.example:5000/alice.example/app'],
    ['no repository', 'docker pull registry.example/alice.example'],
    ['nothing at all', ''],
  ])('%s: nobody', (_, line) => {
    expect(findOwner(line.split(' '), 'registry.example', known)).toBeUndefined()
  })

  test('a host with a port and brackets', () => {
    expect(findOwner(['[::1]:5000/alice.example/app'], '[::1]:5000', known)).toBe('alice.example')
  })
})

describe('guessOwner', () => {
  const table = (processes: Record<number, [parentPid: number, line: string]>): ProcessTable => ({
    parentPid: 100,
    find(pid) {
      const found = processes[pid]
      return found && { parentPid: found[0], words: found[1].split(' ') }
    },
  })
  const push = 'docker push registry.example/alice.example/app'

  test('looks past the one that calls', () => {
    const processes = table({ 100: [90, 'docker-buildx build .'], 90: [80, 'docker build .'], 80: [1, push] })
    expect(guessOwner('registry.example', known, processes)).toBe('alice.example')
  })

  test.each([
    ['a process that is gone', table({})],
    ['the first process of all', table({ 100: [1, 'sh'], 1: [0, push] })],
    [
      'further away than it looks',
      table({ 100: [99, ''], 99: [98, ''], 98: [97, ''], 97: [96, ''], 96: [95, push] }),
    ],
    ['a circle', table({ 100: [100, 'sh'] })],
  ])('%s: nobody', (_, processes) => {
    expect(guessOwner('registry.example', known, processes)).toBeUndefined()
  })
})
