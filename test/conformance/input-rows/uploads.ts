import { randomBytes } from 'node:crypto'

import { sendAndHangUp } from '../raw-http.ts'
import { type RegistryUnderTest, sha256, type UploadPlace } from '../registry-under-test.ts'
import type { Row } from './row.ts'

const bytes = randomBytes(100)
const digest = sha256(bytes)

/** One PATCH of a stretch of the bytes, with its place if told. */
async function patch(
  registry: RegistryUnderTest,
  place: UploadPlace,
  start: number,
  end: number,
  range?: string,
) {
  return registry.sendToUpload(place, 'PATCH', {
    headers: {
      'Content-Type': 'application/octet-stream',
      ...(range === '' ? {} : { 'Content-Range': range ?? `${start}-${end}` }),
    },
    body: bytes.subarray(start, end + 1),
  })
}

const finish = (
  registry: RegistryUnderTest,
  place: UploadPlace,
  digestText = digest,
  body: Uint8Array | string = '',
) => registry.sendToUpload(place, 'PUT', { query: `digest=${digestText}`, body })

/** An upload that already has its first fifty bytes, where it goes on. */
async function halfDone(registry: RegistryUnderTest): Promise<UploadPlace> {
  const answer = await patch(registry, await registry.startUpload(), 0, 49)
  if (answer.status !== 202) throw new Error(`first half: ${answer.status} ${answer.body.toString()}`)
  return registry.place(answer)
}

/** A PATCH that is refused, after which the upload goes on from where it was. */
function refusedChunk(name: string, start: number, end: number, range?: string, status = [416, 400]): Row {
  let place: UploadPlace
  return {
    name: `PATCH: ${name}`,
    status,
    codes: ['RANGE_INVALID', 'BLOB_UPLOAD_INVALID', 'SIZE_INVALID'],
    run: async (registry) => {
      place = await halfDone(registry)
      return patch(registry, place, start, end, range)
    },
    afterwards: async (registry) => {
      const second = await patch(registry, place, 50, 99)
      if (second.status !== 202)
        throw new Error(`the upload does not go on: ${second.status} ${second.body.toString()}`)
      const last = await finish(registry, registry.place(second))
      if (last.status !== 201)
        throw new Error(`the upload does not end: ${last.status} ${last.body.toString()}`)
    },
  }
}

const wrongDigest = (name: string, text: string): Row => ({
  name: `PUT: ${name}`,
  status: [400],
  codes: ['DIGEST_INVALID'],
  run: async (registry) => finish(registry, await halfDone(registry), text),
})

/** What an upload answers that is no more, or never was. */
const gone = { status: [404], codes: ['BLOB_UPLOAD_UNKNOWN'] }

/** Another id, or another capability. Not its last character: the last bits of base64 may mean nothing. */
function otherPlace({ origin, target }: UploadPlace): UploadPlace {
  const [path = '', query] = target.split('?')
  const at = path.length - 5
  const other = `${path.slice(0, at)}${path[at] === '0' ? '1' : '0'}${path.slice(at + 1)}`
  return { origin, target: query === undefined ? other : `${other}?${query}` }
}

/** Uploads with gaps and overlaps, and uploads of others. */
export const uploadRows: Row[] = [
  refusedChunk('gap', 60, 99),
  refusedChunk('overlap', 40, 89),
  refusedChunk('the first chunk again', 0, 49),
  refusedChunk('garbage range', 50, 99, 'garbage'),
  refusedChunk('range backwards', 50, 99, '99-50'),
  refusedChunk('range below zero', 50, 99, '-50-99'),
  refusedChunk('range beyond what numbers hold', 50, 99, '50-99999999999999999999999'),
  refusedChunk('wrong length: fewer bytes than the range', 50, 59, '50-99'),
  refusedChunk('wrong length: more bytes than the range', 50, 99, '50-59'),

  {
    name: 'PATCH: cut off, then resumed from where the registry says',
    status: [201],
    run: async (registry) => {
      const place = await registry.startUpload()
      const isRegistry = place.origin === new URL(registry.address.url).origin
      await sendAndHangUp(place.origin, {
        method: 'PATCH',
        target: place.target,
        headers: {
          'Content-Type': 'application/octet-stream',
          ...(isRegistry ? await registry.ownerHeaders() : {}),
        },
        body: bytes.subarray(0, 50),
        contentLength: 100,
      })
      const state = await registry.sendToUpload(place, 'GET')
      if (state.status !== 204) throw new Error(`state: ${state.status} ${state.body.toString()}`)
      const end = Number(/^0-(\d+)$/.exec(state.headers.get('range') ?? '')?.[1])
      const start = end === 0 ? 0 : end + 1
      const rest = await patch(registry, registry.place(state), start, 99)
      if (rest.status !== 202) throw new Error(`rest from ${start}: ${rest.status} ${rest.body.toString()}`)
      return finish(registry, registry.place(rest))
    },
  },
  {
    name: 'two PATCHes at once: one wins, digest right',
    status: [201],
    run: async (registry) => {
      const place = await halfDone(registry)
      const answers = await Promise.all([patch(registry, place, 50, 99), patch(registry, place, 50, 99)])
      const statuses = answers.map(({ status }) => status).sort((a, b) => a - b)
      if (statuses[0] !== 202 || ![404, 409, 416].includes(statuses[1] ?? 0))
        throw new Error(`both: ${statuses.join()}`)
      const winner = answers.find(({ status }) => status === 202)
      return finish(registry, winner ? registry.place(winner) : place)
    },
    afterwards: async (registry) => {
      const answer = await registry.sendAsOwner({ method: 'HEAD', target: registry.path(`blobs/${digest}`) })
      if (answer.headers.get('content-length') !== '100') throw new Error('the blob has another size')
    },
  },

  wrongDigest('a digest of other bytes', sha256('something else')),
  wrongDigest('a short digest', 'sha256:abc'),
  wrongDigest('an unknown algorithm', 'md5:d41d8cd98f00b204e9800998ecf8427e'),
  wrongDigest('upper-case hex', `sha256:${digest.slice(7).toUpperCase()}`),
  wrongDigest('an empty digest', ''),
  {
    name: 'PUT: no digest',
    status: [400],
    codes: ['DIGEST_INVALID'],
    run: async (registry) => registry.sendToUpload(await halfDone(registry), 'PUT', { body: '' }),
  },
  {
    name: 'POST: a digest of other bytes',
    status: [400],
    codes: ['DIGEST_INVALID'],
    run: (registry) =>
      registry.sendAsOwner({
        method: 'POST',
        target: registry.path(`blobs/uploads/?digest=${sha256('something else')}`),
        headers: { 'Content-Type': 'application/octet-stream' },
        body: bytes,
      }),
    afterwards: async (registry) => {
      const target = registry.path(`blobs/${sha256('something else')}`)
      const answer = await registry.sendAsOwner({ method: 'HEAD', target })
      if (answer.status !== 404) throw new Error('a blob lies under a digest that is not its own')
    },
  },
  {
    name: 'POST: a digest that is none',
    status: [400],
    codes: ['DIGEST_INVALID'],
    run: (registry) =>
      registry.sendAsOwner({
        method: 'POST',
        target: registry.path('blobs/uploads/?digest=abc'),
        body: bytes,
      }),
  },

  {
    name: 'upload that is finished',
    ...gone,
    run: async (registry) => {
      const place = await registry.startUpload()
      await finish(registry, place, digest, bytes)
      return patch(registry, place, 0, 99)
    },
  },
  {
    name: 'upload that was cancelled',
    ...gone,
    run: async (registry) => {
      const place = await registry.startUpload()
      const answer = await registry.sendToUpload(place, 'DELETE')
      if (answer.status !== 204) throw new Error(`cancel: ${answer.status} ${answer.body.toString()}`)
      return patch(registry, place, 0, 99)
    },
  },
  {
    name: 'upload that never was',
    ...gone,
    run: async (registry) => patch(registry, otherPlace(await registry.startUpload()), 0, 99),
  },
  {
    name: 'upload that never was, asked for',
    ...gone,
    run: async (registry) => registry.sendToUpload(otherPlace(await registry.startUpload()), 'GET'),
  },
  {
    name: 'upload that never was, ended',
    ...gone,
    run: async (registry) => finish(registry, otherPlace(await registry.startUpload())),
  },
  {
    name: 'upload with an id that is none',
    status: [400, 404],
    codes: ['BLOB_UPLOAD_UNKNOWN', 'BLOB_UPLOAD_INVALID', 'NAME_INVALID'],
    run: (registry) =>
      registry.sendAsOwner({
        method: 'PATCH',
        target: registry.path(`blobs/uploads/${'%2e%2e%2f'.repeat(9)}x`),
        body: '',
      }),
  },
  {
    name: 'upload of another repository',
    ...gone,
    needs: ['relay'],
    run: async (registry) => {
      const { origin, target } = await registry.startUpload()
      const elsewhere = target.replace(registry.repository, registry.address.otherRepository)
      return patch(registry, { origin, target: elsewhere }, 0, 99)
    },
  },
  ...(['GET', 'PATCH', 'PUT', 'DELETE'] as const).map((method): Row => ({
    name: `upload of another user, ${method} (CVE-2026-32589)`,
    ...gone,
    needs: ['relay', 'tokens'],
    run: async (registry) => {
      const { stranger, strangersRepository } = registry.address
      const { target } = await registry.startUpload()
      const headers = await registry.bearer([`${strangersRepository}:pull,push`], stranger)
      return registry.send({
        method,
        target: target.replace(registry.repository, strangersRepository),
        headers,
        ...(method === 'GET' ? {} : { body: bytes }),
      })
    },
  })),
]
