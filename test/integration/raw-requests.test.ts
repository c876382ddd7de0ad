import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { appViewConfig } from '../../src/appview/config.ts'
import { startAppView } from '../../src/appview/start.ts'
import { holdConfig } from '../../src/hold/config.ts'
import { startHold } from '../../src/hold/start.ts'
import { setLogLevel } from '../../src/lib/log.ts'
import { freePort } from './test-hold.ts'

/**
 * Goal: whatever bytes come over a socket, both programs answer with a refusal or what was asked for, never with a 5xx,
 * with somebody else's answer, or with silence. Method: bytes as they are, over sockets of our own.
 */

setLogLevel('silent')
const opened = new AsyncDisposableStack()
const ports = { appview: 0, hold: 0 }

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'atcr-raw-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  ports.appview = await freePort()
  ports.hold = await freePort()
  const fetch = async () => new Response('', { status: 404 })
  const appview = appViewConfig({
    server: {
      addr: `127.0.0.1:${ports.appview}`,
      base_url: 'https://registry.example',
      default_hold_did: 'did:web:hold.example',
      data_folder: join(folder, 'appview'),
    },
    jetstream: { urls: [], backfill_enabled: false },
  })
  opened.use(await startAppView(appview, { fetch }))
  const hold = holdConfig({
    server: { addr: `127.0.0.1:${ports.hold}`, public_url: 'https://hold.example', relay_endpoint: 'none' },
    registration: { owner_did: 'did:plc:captain' },
    database: { path: join(folder, 'hold/hold.db') },
  })
  opened.use(await startHold(hold, { fetch }))
})
afterAll(() => opened.disposeAsync())

/** All that comes back for these bytes until the other side closes. */
function exchange(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port })
    let text = ''
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`the connection hangs after ${JSON.stringify(text.slice(0, 300))}`))
    }, 50_000)
    socket.setEncoding('latin1').on('data', (data: string) => (text += data))
    // What is cut while it is still being sent.
    socket.on('error', () => undefined)
    socket.once('close', () => {
      clearTimeout(timer)
      resolve(text)
    })
    socket.once('connect', () => socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)) // prettier-ignore
  })
}

const statusesOf = (text: string) =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

const get = (target: string, headers = '') =>
  `GET ${target} HTTP/1.1\r\nHost: registry.example\r\n${headers}Connection: close\r\n\r\n`
const post = (target: string, type: string, body: string | Buffer, headers = '') =>
  Buffer.concat([
    Buffer.from(
      `POST ${target} HTTP/1.1\r\nHost: registry.example\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n${headers}\r\n`,
    ),
    Buffer.from(body),
  ])
const form = 'application/x-www-form-urlencoded'
const deep = (count: number) => '['.repeat(count) + ']'.repeat(count)
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'

/** What is not HTTP/1.1, or means two things: the connection ends with it, and nothing behind it is read. */
const broken: [what: string, bytes: string, status: number][] = [
  ['HTTP/0.9', 'GET /\r\n\r\n', 400],
  ['garbage', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS here?\r\n\r\n', 400],
  ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n', 400],
  ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['length and chunks', `POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`, 400],
  ['chunks that are called otherwise', `POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: xchunked\r\n\r\nabcd${smuggled}`, 400],
  ['chunks after something else', `POST /auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`, 400],
  ['two lengths', `POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde${smuggled}`, 400],
  ['a list of lengths', `POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nabcd${smuggled}`, 400],
  ['a negative length', `POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n${smuggled}`, 400],
  ['a length with a sign', `POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd${smuggled}`, 400],
  ['a length beyond numbers', `POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n${smuggled}`, 400],
  ['a chunk length that is none', `POST /auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n${smuggled}`, 400],
  ['a folded header', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n folded\r\nTransfer-Encoding : chunked\r\n\r\n', 400],
  ['a space before the colon', `POST /auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`, 400],
  ['bare CR in a header', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: b\rX-C: d\r\n\r\n', 400],
  ['NUL in a header', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n', 400],
  ['one huge header', `GET / HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`, 431],
  ['a huge address', `GET /${'a'.repeat(70_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
  ['headers without number', `GET / HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 9000 }, (_, index) => `X-${index}: a\r\n`).join('')}\r\n`, 431],
] // prettier-ignore

/** What can be answered: with one answer, below 500. */
const odd: [what: string, bytes: string | Buffer][] = [
  ['an address of another host', get('http://evil.example/')],
  ['an address of another host, below /v2/', get('http://evil.example/v2/')],
  ['an address that is none', get('http://[::1')],
  ['a host that is none', 'GET / HTTP/1.1\r\nHost: <script>alert(1)</script>\r\nConnection: close\r\n\r\n'],
  ['an empty host', 'GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'],
  ['a host with a path', 'GET /auth/oauth/login HTTP/1.1\r\nHost: evil.example/x?y#z\r\nConnection: close\r\n\r\n'],
  ['a host with a user', 'GET / HTTP/1.1\r\nHost: a@evil.example:99999\r\nConnection: close\r\n\r\n'],
  ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
  ['a tunnel', 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n'],
  ['TRACE', 'TRACE / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nConnection: close\r\n\r\n'],
  ['a WebSocket where there is none', get('/', 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n')],
  ['HTTP/2 by asking', get('/health', 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n')],
  ['dots and slashes', get('/../../../../etc/passwd')],
  ['encoded dots', get('/assets/..%2f..%2f..%2fetc%2fpasswd')],
  ['encoded NUL', get('/u/%00')],
  ['broken percent signs', get('/u/%zz%')],
  ['bytes that are no UTF-8', get('/u/%ff%fe/\xff\xfe')],
  ['a query without end', get(`/search?q=${'%'.repeat(20_000)}`)],
  ['a thousand parameters', get(`/search?${Array.from({ length: 3000 }, (_, index) => `q${index}=1`).join('&')}`)],
  ['who one says to be', get('/v2/', 'X-Forwarded-For: 127.0.0.1, ::1, x\r\nX-Real-IP: 10.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: gopher\r\n')],
  ['a range of ranges', get('/assets/x', `Range: bytes=${Array.from({ length: 1000 }, (_, index) => `${index}-`).join()}\r\n`)],
  ['cookies without end', get('/settings', `Cookie: ${'a=b; '.repeat(5000)}\r\n`)],
  ['a compressed form', post('/auth/token', form, gzipSync('grant_type=password'), 'Content-Encoding: gzip\r\n')],
  ['a compressed call', post('/xrpc/io.atcr.hold.requestCrew', 'application/json', gzipSync('{}'), 'Content-Encoding: gzip\r\n')],
  ['a form beyond all measure', post('/auth/token', form, `grant_type=${'x'.repeat(3_000_000)}`)],
  ['a device that is called at length', post('/auth/device/code', form, `device_name=${'x'.repeat(3_000_000)}`)],
  ['a form of a page', post('/auth/oauth/login', form, `actor=${'x'.repeat(3_000_000)}`, 'Origin: https://registry.example\r\nCookie: __Host-atcr-login=x\r\n')],
  ['a form of the panel', post('/admin/login', form, `actor=${'x'.repeat(3_000_000)}`, 'Origin: https://hold.example\r\nCookie: __Secure-hold-login=x\r\n')],
  ['deep JSON for a device', post('/auth/device/code', 'application/json', deep(3_000))],
  ['deep JSON for a method', post('/xrpc/io.atcr.hold.requestCrew', 'application/json', deep(1_000_000))],
  ['deep objects for a method', post('/xrpc/io.atcr.hold.initiateUpload', 'application/json', `${'{"a":'.repeat(300_000)}1${'}'.repeat(300_000)}`)],
  ['JSON beyond all measure', post('/xrpc/io.atcr.hold.initiateUpload', 'application/json', `{"digest":"${'x'.repeat(6_000_000)}"}`)],
  ['a prototype', post('/xrpc/io.atcr.hold.initiateUpload', 'application/json', '{"__proto__":{"admin":true},"constructor":{"prototype":{}}}')],
  ['numbers beyond numbers', post('/xrpc/io.atcr.hold.initiateUpload', 'application/json', '{"digest":"x","size":1e400}')],
  ['a manifest without a token', post('/v2/a.example/b/blobs/uploads/', 'text/plain', 'x'.repeat(1_000_000))],
  ['an upload that is nobody’s', post('/uploads/x', 'text/plain', 'x'.repeat(1_000_000))],
  ['two requests at once', `${get('/health').replace('Connection: close\r\n', '')}${get('/health')}`],
] // prettier-ignore

describe.each(['appview', 'hold'] as const)('%s', (program) => {
  test.each(broken)('%s', async (_, bytes, status) => {
    const text = await exchange(ports[program], bytes)
    // Nothing at all is an answer too, where the connection was cut while the request was still being sent.
    if (text !== '') expect(statusesOf(text)).toEqual([status])
    else expect(status).toBe(431)
    if (text !== '') expect(text).toMatch(/Connection: close\r\n/i)
  })

  test.each(odd)('%s', async (what, bytes) => {
    const text = await exchange(ports[program], bytes)
    const statuses = statusesOf(text)
    expect(statuses).toHaveLength(
      what === 'two requests at once' ? 2 : what === 'a tunnel' ? statuses.length : 1,
    )
    for (const status of statuses) {
      expect(status).toBeGreaterThanOrEqual(200)
      // 501: a method that the program does not have.
      expect(status === 501 || status < 500).toBe(true)
    }
    const [head = '', body = ''] = text.split('\r\n\r\n', 2)
    expect(head.toLowerCase()).not.toMatch(
      /evil\.example|gopher|<script>|\nlocation: https?:\/\/(?!registry\.example|hold\.example)/,
    )
    expect(body).not.toMatch(/evil\.example|root:x:0|<script>alert|Bearer secret/)
  })

  test('and then it is as well as before', async () => {
    expect(statusesOf(await exchange(ports[program], get('/health')))).toEqual([200])
  })
})
