import { AsyncLocalStorage } from 'node:async_hooks'
import fs from 'node:fs'
import promises from 'node:fs/promises'
import http from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { DatabaseSync, StatementSync } from 'node:sqlite'

/**
 * The points where a process can die and leave something behind: before each operation that changes a file, a row or an
 * object in S3, in the middle of each write to a file or to S3, between a request to S3 and its answer, and before each
 * answer of its own. A point has a name (what is done to what, and how often that happened before), so that another
 * process can be told to die at the same one.
 */

const passed: string[] = []
const counts = new Map<string, number>()
let target: string | undefined
let isArmed = false

/** From now on points are counted; at the named one this process is killed. */
export function arm(point: string | undefined): void {
  isArmed = true
  target = point
}

/** The points passed since, in order. */
export function passedPoints(): readonly string[] {
  return passed
}

/** Counts a point; whether it is the one to die at. */
function isEnd(what: string): boolean {
  if (!isArmed) return false
  const count = (counts.get(what) ?? 0) + 1
  counts.set(what, count)
  const point = `${what} #${count}`
  passed.push(point)
  return point === target
}

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

function reach(what: string): void {
  if (isEnd(what)) die()
}

/** A path without what differs from run to run. */
function shape(path: unknown): string {
  const name = String(path).replace(/^.*\/data-of-the-test\//, '')
  return name
    .replaceAll(/\b[0-9a-f]{2}\/[0-9a-f]{64}/g, '*')
    .replaceAll(/(?<=sha256\/)[0-9a-f]{2}(?=\/|$)/g, '*')
    .replaceAll(/(\d+)\.[\w-]{10,}/g, '$1.*')
    .replaceAll(/(?<=\/|^)[\w-]{10,}(?:\.[\w-]{10,})?(?=[/?]|$)/g, '*')
}

type Anyhow = (...parameters: unknown[]) => unknown
type Methods = Record<string, Anyhow>

function wrap(owner: object, name: string, around: (call: () => unknown, parameters: unknown[], self: object) => unknown): void {
  const methods = owner as Methods
  const original = methods[name] as Anyhow
  // Not an arrow function: the methods of prototypes need their `this`.
  methods[name] = function (this: object, ...parameters: unknown[]) {
    return around(() => original.apply(this, parameters), parameters, this)
  }
} // prettier-ignore

const pathOf = new WeakMap<object, string>()
/** What one of our wrappers does by another is one operation. */
const within = new AsyncLocalStorage<boolean>()

function watchFiles(): void {
  for (const owner of [promises, fs]) {
    const names = ['rename', 'unlink', 'link', 'copyFile', 'mkdir', 'rm', 'rmdir']
    for (const name of owner === fs ? names.map((it) => `${it}Sync`) : names) {
      wrap(owner, name, (call, [path]) => {
        if (within.getStore() !== true) reach(`${name} ${shape(path)}`)
        return within.run(true, call)
      })
    }
  }
  wrap(promises, 'open', async (call, [path, flags]) => {
    if (flags !== undefined && flags !== 'r') reach(`open ${shape(path)}`)
    const handle = (await call()) as object
    pathOf.set(handle, shape(path))
    return handle
  })
}

async function watchFileHandles(): Promise<void> {
  const handle = await promises.open(process.execPath)
  const prototype = Object.getPrototypeOf(handle) as object
  await handle.close()
  for (const name of ['sync', 'datasync']) {
    wrap(prototype, name, (call, _, self) => {
      reach(`${name} ${pathOf.get(self)}`)
      return call()
    })
  }
  for (const name of ['write', 'writev', 'writeFile']) {
    wrap(prototype, name, (call, [content], self) => {
      const what = `${name} ${pathOf.get(self)}`
      reach(what)
      const bytes = Buffer.concat([content].flat().map((it) => Buffer.from(it as Uint8Array | string)))
      if (isEnd(`half of ${what}`)) {
        fs.writeSync((self as { fd: number }).fd, bytes.subarray(0, bytes.length >> 1))
        die()
      }
      return call()
    })
  }
}

function watchDatabase(): void {
  const sqlOf = new WeakMap<object, string>()
  wrap(DatabaseSync.prototype, 'prepare', (call, [sql]) => {
    const statement = call() as object
    sqlOf.set(statement, String(sql))
    return statement
  })
  for (const name of ['run', 'all']) {
    wrap(StatementSync.prototype, name, (call, _, self) => {
      const sql = sqlOf.get(self) ?? ''
      const [what] = /^(?:begin|commit|rollback|(?:insert into|update|delete from) "?\w+)/i.exec(sql) ?? []
      if (what !== undefined) reach(what)
      return call()
    })
  }
}

function watchRequests(): void {
  wrap(http.ClientRequest.prototype, 'end', (call, [body], self) => {
    const request = self as http.ClientRequest
    const [path = '', query = ''] = request.path.split('?')
    const subresource = [...new URLSearchParams(query).keys()].filter((it) => /^(uploads|uploadId|partNumber|delete)$/.test(it)) // prettier-ignore
    const what = `${request.method} ${shape(path)} ${subresource.join(' ')}`
    reach(`request ${what}`)
    if (body instanceof Uint8Array && isEnd(`half of request ${what}`)) {
      return request.write(body.subarray(0, body.length >> 1), die)
    }
    request.once('finish', () => reach(`answer to ${what}`))
    return call()
  })
}

function watchAnswers(): void {
  wrap(http.ServerResponse.prototype, 'writeHead', (call, _, self) => {
    const { method, url = '' } = (self as http.ServerResponse).req
    reach(`our answer to ${method} ${shape(url.replace(/\?.*/, ''))}`)
    return call()
  })
}

/** Has to be done before the hold is loaded. */
export async function watchEverything(): Promise<void> {
  watchFiles()
  await watchFileHandles()
  watchDatabase()
  watchRequests()
  watchAnswers()
  syncBuiltinESMExports()
}
