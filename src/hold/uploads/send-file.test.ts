import { createHash, randomBytes } from 'node:crypto'
import { open, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { collectBytes } from '../../lib/streams.ts'
import { sendFile } from './send-file.ts'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

test('files of all sizes arrive whole, side by side, one after the other, and after one that broke off', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'atcr-send-'))
  const sizes = [1, 65_536, 65_537, 1_048_576, 1_048_577, 5_000_000]
  const files = sizes.map((size) => ({ path: join(folder.path, String(size)), bytes: randomBytes(size) }))
  for (const { path, bytes } of files) await writeFile(path, bytes)
  const failures: string[] = []
  const answer = async (path: string, response: ServerResponse) => {
    await using file = await open(path)
    const end = (await file.stat()).size - 1
    response.writeHead(200, { 'content-length': String(end) })
    await sendFile(file, { start: 1, end }, response).catch((error: unknown) => failures.push(String(error)))
  }
  const server = createServer((request, response) => {
    void answer(join(folder.path, request.url ?? ''), response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const ask = (size: number) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get({ port, path: `/${size}` }, resolve).on('error', reject)
    })
  const readAll = () =>
    Promise.all(
      files.slice(1).map(async ({ bytes }) => {
        const sent = await collectBytes(await ask(bytes.byteLength), bytes.byteLength)
        expect(sha256(sent)).toBe(sha256(bytes.subarray(1)))
      }),
    )
  for (let round = 0; round < 4; round++) await readAll()
  const [left, closed] = [await ask(5_000_000), Promise.withResolvers<void>()]
  left.once('data', () => left.destroy()).once('close', closed.resolve)
  await closed.promise
  await Promise.all([readAll(), readAll()])
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  expect(failures.length).toBeLessThanOrEqual(1)
})
