/** `npm start`: the whole network in one process. See `npm start -- --help`. */
import type { DevOptions } from './dev/options.ts'

/** As `engines` in package.json. */
function isNodeNewEnough([major = 0, minor = 0]: readonly number[]): boolean {
  return (major === 24 && minor >= 16) || (major === 26 && minor >= 1) || major > 26
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

/** npm passes a Ctrl-C on that the terminal has sent us already. */
const sameSignalMs = 500

/** Resolves at the first signal; another one later ends the process at once. */
function untilSignalled(): Promise<string> {
  return new Promise((resolve) => {
    let firstMs: number | undefined
    const onSignal = (signal: string) => {
      firstMs ??= Date.now()
      if (Date.now() - firstMs > sameSignalMs) process.exit(130)
      resolve(signal)
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
    if (process.env['npm_lifecycle_event'] !== undefined) whenOrphaned(() => resolve('npm has ended'))
  })
}

/** Without npm nobody would pass a signal on to us any more, and the ports would stay taken. */
function whenOrphaned(callback: () => void): void {
  const { ppid } = process
  setInterval(() => {
    if (process.ppid !== ppid) callback()
  }, 500).unref()
}

if (!isNodeNewEnough(process.versions.node.split('.').map(Number))) {
  fail(
    `Node ${process.versions.node} cannot run this: use \`npm start\` after \`npm ci\`, which brings its own Node.`,
  )
}

// The PDS evens out how long a sign-in takes, on a busy machine by a negative time: nothing a newcomer need read.
process.removeAllListeners('warning')
process.on('warning', ({ name, message }) => {
  if (name !== 'TimeoutNegativeWarning') process.stderr.write(`${name}: ${message}\n`)
})

// Loaded only now: an older Node would fail in there without a word of use.
const { parseDevOptions, helpText, UsageError } = await import('./dev/options.ts')
const { ListenError } = await import('../test/network/listening.ts')
const { runDevNetwork } = await import('./dev/run.ts')

function read(): DevOptions {
  const options = parseDevOptions(process.argv.slice(2))
  if (options !== undefined) return options
  process.stdout.write(helpText)
  process.exit(0)
}

try {
  await runDevNetwork(read(), untilSignalled())
  process.exit(0)
} catch (error) {
  if (error instanceof UsageError) fail(error.message)
  if (error instanceof ListenError)
    fail(`${error.message}; see --port-base and --bind in \`npm start -- --help\``)
  fail(error instanceof Error ? (error.stack ?? error.message) : String(error))
}
