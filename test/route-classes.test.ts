import { expect, test } from 'vitest'

import { routeClassOf as appviewClassOf } from '../src/appview/registry/route-classes.ts'
import { routeClassOf as holdClassOf } from '../src/hold/web/route-classes.ts'

test.each([
  ['/v2/', 'base'],
  ['/v2', 'base'],
  ['/v2/alice.test/app/manifests/latest', 'manifest'],
  ['/v2/alice.test/app/manifests/sha256:abc?x=/blobs/uploads/', 'manifest'],
  ['/v2/alice.test/blobs/manifests/blobs/sha256:abc', 'blob'],
  ['/v2/alice.test/app/blobs/uploads/', 'upload'],
  ['/v2/alice.test/app/blobs/uploads?mount=sha256:abc', 'upload'],
  ['/v2/alice.test/app/blobs/uploads/abc?digest=sha256:abc', 'upload'],
  ['/v2/alice.test/app/tags/list?n=5', 'tags'],
  ['/v2/alice.test/app/referrers/sha256:abc', 'referrers'],
  ['/v2/nothing', 'registry'],
  ['/auth/token?service=x', 'token'],
  ['/auth/device/code', 'sign-in'],
  ['/r/alice.test/app', 'page'],
  ['/', 'page'],
  ['', 'page'],
])('AppView: %s is %s', (target, wanted) => {
  expect(appviewClassOf(target)).toBe(wanted)
})

test.each([
  ['/uploads/capability', 'upload'],
  ['/blobs/sha256:abc?sig=x', 'blob'],
  ['/xrpc/com.atproto.sync.getBlob?cid=x', 'presign'],
  ['/xrpc/com.atproto.sync.getRepo', 'sync'],
  ['/xrpc/io.atcr.hold.completeUpload', 'upload-control'],
  ['/xrpc/io.atcr.hold.notifyManifest', 'notice'],
  ['/xrpc/anything', 'xrpc'],
  ['/admin/crew', 'admin'],
  ['/', 'page'],
])('hold: %s is %s', (target, wanted) => {
  expect(holdClassOf(target)).toBe(wanted)
})
