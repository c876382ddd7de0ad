import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Daemon } from './daemon.ts'

/** Debian's package; its programs are not on PATH. */
export const postgresPackages = ['postgresql'] as const
const versionsFolder = '/usr/lib/postgresql'

export interface Postgres extends AsyncDisposable {
  /** For `openDatabase({ url })`: a new, empty database on every call. */
  createDatabase(): string
  /** Ends it as an operator does, who does not wait for clients (`fast`); {@link start} brings it back. */
  stop(): Promise<void>
  start(): Promise<void>
}

/** Where PostgreSQL's programs are; undefined when it is not installed. */
function findPrograms(): string | undefined {
  if (!existsSync(versionsFolder)) return undefined
  const [newest] = readdirSync(versionsFolder).sort((a, b) => Number(b) - Number(a))
  return newest === undefined ? undefined : join(versionsFolder, newest, 'bin')
}

/** A PostgreSQL of its own in a temporary folder, reached by a socket there and by nothing else. */
export async function startPostgres(): Promise<Postgres> {
  const programs = findPrograms()
  if (programs === undefined) throw new Error(`not installed: ${postgresPackages.join(', ')}`)
  const folder = await mkdtemp(join(tmpdir(), 'atcr-postgres-'))
  await chmod(folder, 0o777)
  // It refuses to run as root.
  const [command = '', ...asOther] =
    process.getuid?.() === 0 ? ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'] : ['env']
  const run = (program: string, ...args: string[]) =>
    execFileSync(command, [...asOther, join(programs, program), ...args], { stdio: 'pipe', cwd: folder })
  const data = join(folder, 'data')
  run('initdb', '-D', data, '-U', 'atcr', '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C.UTF-8')
  const parameters = ['-D', data, '-k', folder, '-c', 'listen_addresses=', '-c', 'fsync=off']
  const begin = () =>
    new Daemon(command, [...asOther, join(programs, 'postgres'), ...parameters], {
      logFile: join(folder, 'log'),
    })
  let server = begin()
  const isReady = async () => {
    try {
      run('pg_isready', '-q', '-h', folder, '-U', 'atcr', '-d', 'postgres')
      return true
    } catch {
      return false
    }
  }
  await server.untilReady(isReady, 20)
  let count = 0
  return {
    createDatabase() {
      const name = `test${++count}`
      run('createdb', '-h', folder, '-U', 'atcr', name)
      return `postgres://atcr@/${name}?host=${encodeURIComponent(folder)}`
    },
    // SIGINT is PostgreSQL's own word for "now, but cleanly".
    stop: () => server.stop('SIGINT'),
    async start() {
      server = begin()
      await server.untilReady(isReady, 60)
    },
    async [Symbol.asyncDispose]() {
      // Daemon's own way is enough for a folder that goes.
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
