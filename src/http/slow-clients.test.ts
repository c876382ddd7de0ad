import { connect, type Socket } from 'node:net'

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { sleep } from '../lib/clock.ts'
import { serve, type RunningServer, type ServerEnv } from './serve.ts'

/** Goal: who keeps us waiting is let go, who is merely slow is not. Times are short here; nothing asserts on them. */

let server: RunningServer
const gate = Promise.withResolvers<void>()

beforeAll(async () => {
  const app = new Hono<ServerEnv>()
  app.post('/whole', async (c) => {
    let bytes = 0
    for await (const chunk of c.env.incoming) bytes += (chunk as Buffer).length
    return c.text(`${bytes}`)
  })
  app.get('/slow', async (c) => {
    await gate.promise
    return c.text('done')
  })
  // Reads nothing of a body until it is told to: a disk that is slow.
  app.post('/later', async (c) => {
    await sleep(2000)
    let bytes = 0
    for await (const chunk of c.env.incoming) bytes += (chunk as Buffer).length
    return c.text(`${bytes}`)
  })
  app.get('/much', (c) => {
    const { outgoing } = c.env
    outgoing.writeHead(200, { 'content-type': 'application/octet-stream' })
    const more = () => {
      while (!outgoing.destroyed && outgoing.write(Buffer.alloc(64 * 1024)));
    }
    outgoing.on('drain', more)
    more()
    return RESPONSE_ALREADY_SENT
  })
  const patience = { headersMs: 400, bodyMs: 1200, bodyBytesMin: 64, answerMs: 400, checkMs: 50 }
  server = await serve(app, { hostname: '127.0.0.1', port: 0, patience })
})
afterAll(() => server[Symbol.asyncDispose]())

/** A connection, and all that came over it once it is over. */
async function open(): Promise<{ socket: Socket; end: Promise<string>; received: () => string }> {
  const socket = connect({ host: '127.0.0.1', port: server.port })
  let text = ''
  socket.setEncoding('latin1').on('data', (data: string) => (text += data))
  socket.on('error', () => undefined)
  const end = new Promise<string>((resolve) => socket.once('close', () => resolve(text)))
  await new Promise((resolve) => socket.once('connect', resolve))
  return { socket, end, received: () => text }
}

async function drip(socket: Socket, text: string, everyMs: number): Promise<void> {
  for (const byte of text) {
    if (socket.destroyed) return
    socket.write(byte)
    await sleep(everyMs)
  }
}

const post = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`

test('a connection that says nothing, and one that says its headers a byte at a time, are ended', async () => {
  const silent = await open()
  const slow = await open()
  await Promise.all([
    silent.end,
    drip(slow.socket, `GET / HTTP/1.1\r\nHost: x\r\n${'X-Filler: aaaaaaaa\r\n'.repeat(50)}`, 10),
  ])
  expect(await slow.end).toMatch(/^HTTP\/1\.1 408 /)
})

test('a body of which nothing comes, or a byte now and then, gets 408', async () => {
  for (const attack of [async () => undefined, (socket: Socket) => drip(socket, 'a'.repeat(500), 20)]) {
    const { socket, end } = await open()
    socket.write(post('/whole', 1_000_000))
    await attack(socket)
    expect(await end).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n[^]*"errors"/)
  }
})

test('a body that goes on comes in whole, however long it takes', async () => {
  const { socket, end } = await open()
  socket.write(`POST /whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n`)
  for (let count = 0; count < 20; count++) {
    socket.write('a'.repeat(100))
    await sleep(100)
  }
  expect(await end).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*2000$/)
})

test('a request that waits for us is left alone, and so is a body that we do not read yet', async () => {
  const waiting = await open()
  waiting.socket.write('GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  const full = await open()
  full.socket.write('POST /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000000\r\n\r\n')
  full.socket.write(Buffer.alloc(5_000_000, 'a'))
  expect(await full.end).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*5000000$/)
  expect(waiting.received()).toBe('')
  gate.resolve()
  expect(await waiting.end).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*done$/)
})

test('an answer that nobody reads is cut, and no more of it is held than sockets hold', async () => {
  const { socket, end } = await open()
  socket.pause()
  socket.write('GET /much HTTP/1.1\r\nHost: x\r\n\r\n')
  // A closed connection is seen when it is read again.
  await sleep(1500)
  socket.resume()
  await end
})

test('an idle connection that was used before stays, for the next request', async () => {
  const { socket, end, received } = await open()
  const ask = (connection: string) =>
    socket.write(`POST /whole HTTP/1.1\r\nHost: x\r\nConnection: ${connection}\r\nContent-Length: 1\r\n\r\na`)
  ask('keep-alive')
  await sleep(1200)
  expect(received()).toMatch(/1$/)
  ask('close')
  expect((await end).match(/HTTP\/1\.1 200/g)).toHaveLength(2)
})
