import { pino, type Logger } from 'pino'

import { findTrace } from './trace.ts'

export type { Logger }
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Keys whose values never reach a log line, at the top of a line or one level down. */
const secretKeys = [
  'authorization',
  'password',
  'secret',
  'token',
  'accessJwt',
  'refreshJwt',
  'cookie',
  'appPassword',
  'privateKey',
]

let output = pino.destination(1)
const copies = new Set<(line: string) => void>()

const root: Logger = pino(
  {
    level: 'info',
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: secretKeys.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: pino.stdSerializers.err, cause: pino.stdSerializers.err },
    // Every line that a request causes tells which request, wherever it is written.
    mixin: () => ({ ...findTrace()?.fields }),
  },
  {
    write: (line) => {
      output.write(line)
      for (const copy of copies) copy(line)
    },
  },
)

const children = new Set<Logger>()

/** The one logger, named after the room that speaks: `logger('hold:uploads')`. One JSON line an entry, on standard output. */
export function logger(name: string): Logger {
  const child = root.child({ name })
  children.add(child)
  return child
}

/** From now on the log goes to standard error: for commands, whose answer is on standard output. */
export function logToStandardError(): void {
  output = pino.destination(2)
}

/** From now on `take` is given every line as well, until what comes back is disposed; it must neither wait nor throw. */
export function copyLog(take: (line: string) => void): Disposable {
  copies.add(take)
  return { [Symbol.dispose]: () => void copies.delete(take) }
}

/** Sets how much is logged by every logger of this process; called by the doors and by tests. */
export function setLogLevel(level: LogLevel): void {
  root.level = level
  for (const child of children) child.level = level
}

/**
 * A URL as it may be logged: without query, because presigned URLs and capabilities carry their secret there,
 * and without user information.
 */
export function loggableUrl(url: URL | string): string {
  const parsed = new URL(url)
  return `${parsed.origin}${parsed.pathname}${parsed.search === '' ? '' : '?…'}`
}

/**
 * The path of a request as it may be logged: without query, and without what is as long as a capability: whoever has the
 * address of a direct upload may write to it. Digests have a colon, and stay.
 */
export function loggablePath(target: string): string {
  const [path = ''] = target.split('?', 1)
  return path.replaceAll(/\/[\w.~-]{64,}(?=\/|$)/g, '/…')
}
