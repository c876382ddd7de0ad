import { globSync, readFileSync } from 'node:fs'

import { isAtprotoOauthScope, normalizeAtprotoOauthScope, ScopePermissions } from '@atproto/oauth-scopes'
import { expect, test } from 'vitest'

import { manifestMediaTypes } from '../../protocol/oci/media-types.ts'
import { appViewScope } from './oauth-scope.ts'

const scopes = appViewScope.split(' ')
const permissions = new ScopePermissions(appViewScope)

test('a PDS understands every one of our scopes, and none is there twice', () => {
  expect(scopes[0]).toBe('atproto')
  for (const scope of scopes) expect(isAtprotoOauthScope(scope), scope).toBe(true)
  for (const scope of scopes.slice(1)) expect(isUnderstood(scope), scope).toBe(true)
  expect(new Set(scopes).size).toBe(scopes.length)
})

test('they are spelt as servers spell them in what they grant: the two are compared as text', () => {
  expect(normalizeAtprotoOauthScope(appViewScope).split(' ')).toEqual(scopes.toSorted())
})

/** Whether a scope alone allows anything: those that are not understood are dropped. */
function isUnderstood(scope: string): boolean {
  const alone = new ScopePermissions(scope)
  const [kind = '', value = ''] = scope.split(/[:?]/, 2)
  if (kind === 'repo') return alone.allowsRepo({ collection: value, action: 'create' })
  if (kind === 'blob') return alone.allowsBlob({ mime: value })
  return alone.allowsRpc({ lxm: value, aud: 'did:web:hold.example' })
}

test('what is understood by chance would be seen', () => {
  for (const scope of ['repo:io.atcr.*', 'rpc:io.atcr.hold.*?aud=*', 'blob:nonsense'])
    expect(isUnderstood(scope)).toBe(false)
})

test('every method that a client calls as somebody is allowed, at any hold', () => {
  const called = globSync('src/appview/clients/*.ts').flatMap((file) =>
    calledMethods(readFileSync(file, 'utf8')),
  )
  expect(called.length).toBeGreaterThan(6)
  for (const lxm of called) {
    expect(permissions.allowsRpc({ lxm, aud: 'did:web:hold.example' }), lxm).toBe(true)
    expect(permissions.allowsRpc({ lxm, aud: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz' }), lxm).toBe(true)
  }
})

/** Of `caller.call(method.main, method.$nsid, …)` and `caller.authorized(method.$nsid, …)`. */
function calledMethods(source: string): string[] {
  return [...source.matchAll(/#caller\s*\.(?:call\(\s*\w+\.main,|authorized\()\s*(\w+)\.\$nsid/g)].map(
    ([, name]) => {
      const path = new RegExp(`import \\* as ${name} from '[^']*/generated/([^']+)\\.ts'`).exec(source)?.[1]
      if (path === undefined) throw new Error(`${name} is no method`)
      return path.replaceAll('/', '.')
    },
  )
}

test('every collection that is written may be created, updated and deleted', () => {
  const written = globSync('src/appview/{services,clients}/*.ts').flatMap((file) => [
    ...readFileSync(file, 'utf8').matchAll(/collection: (\w+)Collection\b/g),
  ])
  const names = new Set(written.map(([, name = '']) => name))
  expect([...names].sort()).toEqual(['manifest', 'repoPage', 'sailorProfile', 'star', 'tag'])
  for (const collection of [
    'io.atcr.manifest',
    'io.atcr.tag',
    'io.atcr.sailor.profile',
    'io.atcr.sailor.star',
    'io.atcr.repo.page',
  ]) {
    for (const action of ['create', 'update', 'delete'] as const)
      expect(permissions.allowsRepo({ collection, action }), `${action} ${collection}`).toBe(true)
  }
})

test('every manifest that is taken may be uploaded', () => {
  for (const mime of Object.values(manifestMediaTypes)) expect(permissions.allowsBlob({ mime })).toBe(true)
})

test('nothing else may be done', () => {
  expect(permissions.allowsRepo({ collection: 'app.bsky.feed.post', action: 'create' })).toBe(false)
  expect(permissions.allowsBlob({ mime: 'video/mp4' })).toBe(false)
  expect(permissions.allowsRpc({ lxm: 'chat.bsky.convo.getLog', aud: 'did:web:api.bsky.chat' })).toBe(false)
})
