import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

import { sleep } from '../../src/lib/clock.ts'

/** Everyone who speaks or is spoken to in the network; `client` is whoever does not say otherwise. */
export type Party = 'client' | 'appview' | 'hold' | 'pds' | 'plc' | 'jetstream' | 's3'

/** One request, or one websocket opened (method `UPGRADE`), as a server of the network saw it. */
export interface Call {
  from: Party
  to: Party
  method: string
  /** Path without query, percent-decoded. */
  path: string
  query: URLSearchParams
}

/** Picks calls: what is left out matches everything. */
export interface CallFilter {
  from?: Party
  to?: Party
  method?: string
  path?: RegExp | string
}

/**
 * What goes wrong with the calls it picks: `delay` waits before the server handles it, for a time or `until` the test
 * lets go; `drop` cuts the connection before the server knows; `error` answers in the server's stead; `lose-answer`
 * lets the server do its work to the end and then cuts the connection instead of answering.
 */
export interface FaultRule extends CallFilter {
  kind: 'delay' | 'drop' | 'error' | 'lose-answer'
  delayMs?: number
  until?: Promise<unknown>
  /** Of `error`; 503 unless told. */
  status?: number
  headers?: Record<string, string>
  body?: string
  /** How often it strikes before it is spent; without end unless told. */
  times?: number
}

/** A rule at work. `using fault = …` removes it at the end of the block. */
export class Fault implements Disposable {
  readonly rule: FaultRule
  /** How often it has struck. */
  count = 0
  readonly #remove: () => void

  constructor(rule: FaultRule, remove: (fault: Fault) => void) {
    this.rule = rule
    this.#remove = () => remove(this)
  }

  isFor(call: Call): boolean {
    return this.count < (this.rule.times ?? Infinity) && matches(call, this.rule)
  }

  remove(): void {
    this.#remove()
  }

  [Symbol.dispose](): void {
    this.remove()
  }
}

/** The rules in force, for every server of one network. */
export class Faults {
  readonly #active = new Set<Fault>()

  add(rule: FaultRule): Fault {
    const fault = new Fault(rule, (it) => this.#active.delete(it))
    this.#active.add(fault)
    return fault
  }

  clear(): void {
    this.#active.clear()
  }

  /** The faults that strike this call, delays first, at most one of the other kinds. */
  strike(call: Call): Fault[] {
    const all = [...this.#active].filter((fault) => fault.isFor(call))
    const other = all.find((fault) => fault.rule.kind !== 'delay')
    const struck = [...all.filter((fault) => fault.rule.kind === 'delay'), ...(other ? [other] : [])]
    for (const fault of struck) fault.count++
    return struck
  }
}

const callCountMax = 100_000

/** Who called whom since the last reset, so that tests can assert budgets. */
export class Calls {
  #calls: Call[] = []

  add(call: Call): void {
    if (this.#calls.length >= callCountMax) this.#calls.splice(0, callCountMax / 2)
    this.#calls.push(call)
  }

  list(filter: CallFilter = {}): readonly Call[] {
    return this.#calls.filter((call) => matches(call, filter))
  }

  count(filter: CallFilter = {}): number {
    return this.list(filter).length
  }

  reset(): void {
    this.#calls = []
  }
}

/** Puts a gate before every server of a network: calls are counted and faults strike there. */
export class Gates {
  readonly faults = new Faults()
  readonly calls = new Calls()

  /** Takes over the server's listeners; to be called once, after the server has all of them. */
  install(server: Server, to: Party): void {
    for (const event of ['request', 'checkContinue'] as const) {
      const handlers = server.listeners(event) as ((req: IncomingMessage, res: ServerResponse) => void)[]
      if (handlers.length === 0) continue
      server.removeAllListeners(event)
      server.on(event, (req: IncomingMessage, res: ServerResponse) => {
        const call = callOf(req, to, req.method ?? 'GET')
        void this.#passRequest(call, req, res, () => {
          for (const handler of handlers) handler.call(server, req, res)
        })
      })
    }
    const upgrades = server.listeners('upgrade') as ((
      req: IncomingMessage,
      socket: Duplex,
      head: Buffer,
    ) => void)[]
    if (upgrades.length === 0) return
    server.removeAllListeners('upgrade')
    server.on('upgrade', (req, socket, head) => {
      void this.#passUpgrade(callOf(req, to, 'UPGRADE'), socket, () => {
        for (const handler of upgrades) handler.call(server, req, socket, head)
      })
    })
  }

  async #passRequest(
    call: Call,
    req: IncomingMessage,
    res: ServerResponse,
    handle: () => void,
  ): Promise<void> {
    this.calls.add(call)
    for (const { rule } of this.faults.strike(call)) {
      if (rule.kind === 'delay') await (rule.until ?? sleep(rule.delayMs ?? 0))
      else if (rule.kind === 'lose-answer') muteAnswer(res)
      else if (rule.kind === 'error') return answerError(rule, req, res)
      else {
        req.socket.destroy()
        return
      }
    }
    handle()
  }

  async #passUpgrade(call: Call, socket: Duplex, handle: () => void): Promise<void> {
    this.calls.add(call)
    for (const { rule } of this.faults.strike(call)) {
      if (rule.kind === 'delay') await (rule.until ?? sleep(rule.delayMs ?? 0))
      else {
        if (rule.kind === 'error')
          socket.write(`HTTP/1.1 ${rule.status ?? 503} Fault\r\nconnection: close\r\n\r\n`)
        socket.destroy()
        return
      }
    }
    handle()
  }
}

function matches(call: Call, filter: CallFilter): boolean {
  return (
    (filter.from === undefined || filter.from === call.from) &&
    (filter.to === undefined || filter.to === call.to) &&
    (filter.method === undefined || filter.method === call.method) &&
    (filter.path === undefined ||
      (typeof filter.path === 'string' ? filter.path === call.path : filter.path.test(call.path)))
  )
}

const userAgents: [prefix: string, party: Party][] = [
  ['atcr-appview/', 'appview'],
  ['atcr-hold/', 'hold'],
  ['atcr-relay/', 'jetstream'],
]

function callOf(req: IncomingMessage, to: Party, method: string): Call {
  const agent = req.headers['user-agent'] ?? ''
  const from = userAgents.find(([prefix]) => agent.startsWith(prefix))?.[1] ?? 'client'
  const [path = '/', query = ''] = (req.url ?? '/').split('?')
  return { from, to, method, path: decoded(path), query: new URLSearchParams(query) }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Answers at once; the body that is still coming is thrown away, so that the caller surely reads the answer. */
function answerError(rule: FaultRule, req: IncomingMessage, res: ServerResponse): void {
  req.resume()
  res.writeHead(rule.status ?? 503, { 'content-type': 'application/json', ...rule.headers })
  res.end(
    rule.body ?? JSON.stringify({ error: 'InjectedFault', message: 'the test network refused this call' }),
  )
}

/** Whatever the handler answers, but a go-ahead for the body, goes nowhere; when it is done the connection is cut. */
function muteAnswer(res: ServerResponse): void {
  const socket = res.socket
  if (socket === null) return
  const write = socket.write.bind(socket)
  const swallow = (...args: Parameters<typeof write>): boolean => {
    if (String(args[0]).startsWith('HTTP/1.1 100 ')) return write(...args)
    const callback = args.at(-1) as unknown
    if (typeof callback === 'function') queueMicrotask(() => void callback())
    return true
  }
  Object.assign(socket, { write: swallow })
  res.once('finish', () => socket.destroy())
}
