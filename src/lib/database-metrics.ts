import { stat } from 'node:fs/promises'

import type { Database } from './database.ts'
import { watchedGauge } from './metrics.ts'

const fileBytes = watchedGauge({
  name: 'atcr_database_file_bytes',
  help: 'Size of the SQLite file (main) and of its write-ahead log (wal).',
  labels: ['program', 'file'],
})

const connections = watchedGauge({
  name: 'atcr_database_connections',
  help: 'Connections to PostgreSQL: used and idle ones, and how many queries wait for one.',
  labels: ['program', 'state'],
})

/** Tells how large a database is, or how busy its connections are, until what comes back is disposed. */
export function measureDatabase(
  program: 'appview' | 'hold',
  database: Pick<Database<unknown>, 'dialect' | 'connections'>,
  path: string,
): Disposable {
  if (database.dialect === 'sqlite') {
    const sizeOf = async (file: string, place: string) => ({
      labels: { program, file },
      value: await stat(place).then(({ size }) => size, () => 0), // prettier-ignore
    })
    return fileBytes.watch(() => Promise.all([sizeOf('main', path), sizeOf('wal', `${path}-wal`)]))
  }
  return connections.watch(() => {
    const { idle, total, waiting } = database.connections?.() ?? { idle: 0, total: 0, waiting: 0 }
    return [
      { labels: { program, state: 'used' }, value: total - idle },
      { labels: { program, state: 'idle' }, value: idle },
      { labels: { program, state: 'waiting' }, value: waiting },
    ]
  })
}
