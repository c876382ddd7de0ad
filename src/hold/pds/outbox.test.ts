import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { expect, test } from 'vitest'
import { WebSocket } from 'ws'

import { systemNow } from '../../lib/clock.ts'
import { openDatabase } from '../../lib/database.ts'
import { pdsMigrations, type PdsTables } from '../db/pds-tables.ts'
import { Outbox } from './outbox.ts'
import { Sequencer } from './sequencer.ts'

test('stopping closes every connection as going away, and takes no more', async () => {
  await using database = await openDatabase<PdsTables>({ path: ':memory:' }, pdsMigrations)
  const outbox = new Outbox({ sequencer: new Sequencer({ database, now: systemNow, newestSeq: 0 }) })
  const server = createServer()
  server.on('upgrade', (request, socket, head: Buffer) => {
    if (!outbox.handleUpgrade(request, socket, head)) socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/xrpc/com.atproto.sync.subscribeRepos`

  const sockets = [new WebSocket(url), new WebSocket(url)]
  const codes = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('open', resolve))))
  expect(outbox.subscriberCount).toBe(2)
  await outbox[Symbol.asyncDispose]()
  expect(await Promise.all(codes)).toEqual([1001, 1001])

  const late = new WebSocket(url)
  const error = await new Promise<Error>((resolve) => late.once('error', resolve))
  expect(error.message).toContain('503')
  server.close()
})

test('a reader that answers no ping is dropped; one that does stays', async () => {
  await using database = await openDatabase<PdsTables>({ path: ':memory:' }, pdsMigrations)
  const sequencer = new Sequencer({ database, now: systemNow, newestSeq: 0 })
  await using outbox = new Outbox({ sequencer, heartbeatMs: 200 })
  const server = createServer()
  server.on('upgrade', (request, socket, head: Buffer) => void outbox.handleUpgrade(request, socket, head))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/xrpc/com.atproto.sync.subscribeRepos`
  const polite = new WebSocket(url)
  await new Promise((resolve) => polite.once('open', resolve))
  const mute = new WebSocket(url, { autoPong: false })
  expect(await new Promise((resolve) => mute.once('close', resolve))).toBe(1006)
  await expect.poll(() => outbox.subscriberCount).toBe(1)
  expect(polite.readyState).toBe(WebSocket.OPEN)
  server.close()
})
