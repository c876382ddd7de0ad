import { sha256 } from '../registry-under-test.ts'
import type { Row } from './row.ts'

const nowhere = sha256('bytes that nobody pushed')
const hex = nowhere.slice('sha256:'.length)

const get = (rest: string, method = 'GET'): Row['run'] => {
  return (registry) => registry.sendAsOwner({ method, target: registry.path(rest) })
}

const named = (name: string, path: string): Row => ({
  name: `name: ${name}`,
  status: [400, 404],
  codes: ['NAME_INVALID', 'NAME_UNKNOWN', 'UNSUPPORTED'],
  run: (registry) =>
    registry.sendAsOwner({ method: 'GET', target: path.replace('OWNER/REPO', registry.repository) }),
  afterwards: (_, answer) => {
    if (answer.headers.has('location')) throw new Error('a bad name must lead nowhere')
  },
})

const badDigest = (name: string, digest: string): Row[] => [
  { name: `blob digest ${name}`, status: [400], codes: ['DIGEST_INVALID'], run: get(`blobs/${digest}`) },
  {
    name: `manifest digest ${name}`,
    status: [400],
    codes: ['DIGEST_INVALID'],
    run: get(`manifests/${digest}`),
  },
]

const badTag = (name: string, tag: string): Row[] => [
  {
    name: `tag ${name}, read`,
    status: [400, 404],
    codes: ['TAG_INVALID', 'MANIFEST_INVALID', 'NAME_INVALID', 'MANIFEST_UNKNOWN'],
    run: get(`manifests/${tag}`),
  },
  {
    name: `tag ${name}, written`,
    status: [400, 404],
    codes: ['TAG_INVALID', 'MANIFEST_INVALID', 'NAME_INVALID'],
    run: async (registry) => {
      const manifest = await registry.imageManifest()
      return registry.sendAsOwner({
        method: 'PUT',
        target: registry.path(`manifests/${tag}`),
        headers: { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' },
        body: JSON.stringify(manifest),
      })
    },
  },
]

/** Unknown things, and names that are none. */
export const nameRows: Row[] = [
  {
    name: 'unknown tag',
    status: [404],
    codes: ['MANIFEST_UNKNOWN', 'NAME_UNKNOWN'],
    run: get('manifests/never-was'),
  },
  {
    name: 'unknown manifest digest',
    status: [404],
    codes: ['MANIFEST_UNKNOWN', 'NAME_UNKNOWN'],
    run: get(`manifests/${nowhere}`),
  },
  {
    name: 'unknown blob',
    status: [404],
    codes: ['BLOB_UNKNOWN', 'NAME_UNKNOWN'],
    run: get(`blobs/${nowhere}`),
  },
  { name: 'unknown blob, HEAD', status: [404], run: get(`blobs/${nowhere}`, 'HEAD') },
  { name: 'unknown tag, HEAD', status: [404], run: get('manifests/never-was', 'HEAD') },
  {
    name: 'unknown tag, DELETE',
    status: [404],
    codes: ['MANIFEST_UNKNOWN', 'NAME_UNKNOWN'],
    run: get('manifests/never-was', 'DELETE'),
  },
  {
    name: 'unknown blob, DELETE',
    status: [404],
    codes: ['BLOB_UNKNOWN', 'NAME_UNKNOWN'],
    run: get(`blobs/${nowhere}`, 'DELETE'),
  },
  {
    name: 'unknown repository',
    status: [404],
    codes: ['NAME_UNKNOWN', 'MANIFEST_UNKNOWN'],
    run: async (registry) => {
      const repository = `${registry.repository}-never-was`
      const headers = await registry.bearer([`${repository}:pull`], registry.address.owner)
      return registry.send({ method: 'GET', target: registry.path('tags/list', repository), headers })
    },
  },

  ...badDigest('short', 'sha256:abc'),
  ...badDigest('of an unknown algorithm', `md5:d41d8cd98f00b204e9800998ecf8427e`),
  ...badDigest('in upper-case hex', `sha256:${hex.toUpperCase()}`),
  ...badDigest('too long', `${nowhere}0`),

  named('in upper case', '/v2/OWNER/REPO/UPPER/tags/list'),
  named('of 256 characters and more', `/v2/OWNER/REPO/${'a'.repeat(256)}/tags/list`),
  named('of a hundred thousand characters', `/v2/OWNER/REPO/${'a/'.repeat(5_000)}tags/list`),
  named('with ..', '/v2/OWNER/REPO/../../x/tags/list'),
  named('with .. at the start', '/v2/../OWNER/REPO/tags/list'),
  named('with %2f..', '/v2/OWNER/REPO%2f..%2fx/tags/list'),
  named('with %2e%2e', '/v2/OWNER/REPO/%2e%2e/tags/list'),
  named('with %252e', '/v2/OWNER/REPO/%252e%252e/tags/list'),
  named('with //', '/v2/OWNER/REPO//x/tags/list'),
  named('with // at the start', '/v2//OWNER/REPO/tags/list'),
  named('that is a host', '/v2//evil.example/x/tags/list'),
  named('with a backslash', '/v2/OWNER/REPO\\x/tags/list'),
  named('with %00', '/v2/OWNER/REPO%00/tags/list'),
  named('with a broken percent sign', '/v2/OWNER/REPO%zz/tags/list'),
  named('with a lone percent sign at the end', '/v2/OWNER/REPO/x%/tags/list'),
  named('with bytes that are not UTF-8', '/v2/OWNER/REPO%ff%fe/tags/list'),
  { ...named('with a NUL byte', '/v2/OWNER/REPO\0/tags/list'), mayBeRefusedUnread: true },
  { ...named('with a space', '/v2/OWNER/REPO x/tags/list'), mayBeRefusedUnread: true },
  { ...named('with a tab', '/v2/OWNER/REPO\tx/tags/list'), mayBeRefusedUnread: true },
  { ...named('with a raw byte above ASCII', '/v2/OWNER/REPO\xff/tags/list'), mayBeRefusedUnread: true },
  named('that is nothing', '/v2/tags/list'),

  ...badTag('too long', 'a'.repeat(129)),
  ...badTag('that starts with -', '-x'),
  ...badTag('that starts with .', '.x'),
  ...badTag('with %2f', 'a%2fb'),
  ...badTag('that is nothing', ''),

  ...['0', '-1', '1.5', 'ten', '', '99999999999999999999', '1e9', '0x10', ' 1', '1&n=2'].map((n): Row => ({
    name: `tags with n=${n}`,
    status: [200, 400],
    codes: ['PAGINATION_NUMBER_INVALID'],
    run: async (registry) => {
      await putTag(registry)
      return registry.sendAsOwner({
        method: 'GET',
        target: registry.path(`tags/list?n=${n.replace(' ', '%20')}`),
      })
    },
  })),
  ...['%00', '%ff', '../..', "';--", 'a'.repeat(3000)].map((last): Row => ({
    name: `tags with last=${last.slice(0, 20)}`,
    status: [200, 400],
    run: async (registry) => {
      await putTag(registry)
      return registry.sendAsOwner({ method: 'GET', target: registry.path(`tags/list?last=${last}`) })
    },
  })),
]

async function putTag(registry: Parameters<Row['run']>[0]): Promise<void> {
  const manifest = await registry.imageManifest()
  await registry.sendAsOwner({
    method: 'PUT',
    target: registry.path('manifests/listed'),
    headers: { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' },
    body: JSON.stringify(manifest),
  })
}
