import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { findFreePort } from '../../test/network/listening.ts'
import { MeasuredProcess } from './measured-process.ts'

/** Debian's docker-registry on a port of its own. */
export interface Peer extends AsyncDisposable {
  url: string
  process: MeasuredProcess
  dataFolder: string
}

/**
 * Distribution at its best: file storage, descriptors cached in memory, no access log, and no authentication at all,
 * so that it is never charged for what we do besides. The package's own configuration would listen everywhere.
 */
export async function startPeer(folder: string): Promise<Peer> {
  const port = await findFreePort()
  const dataFolder = join(folder, 'peer')
  await mkdir(dataFolder, { recursive: true })
  const file = join(folder, 'peer.yml')
  await writeFile(
    file,
    `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${JSON.stringify(dataFolder)}}, delete: {enabled: true}, cache: {blobdescriptor: inmemory}}
http: {addr: "127.0.0.1:${port}"}
`,
  )
  const url = `http://127.0.0.1:${port}`
  const measured = await MeasuredProcess.start({
    name: 'docker-registry',
    command: 'docker-registry',
    args: ['serve', file],
    // It calls every 404 an error, and cannot be told to be quiet.
    stderr: 'ignore',
    env: { OTEL_TRACES_EXPORTER: 'none' },
    healthUrl: `${url}/v2/`,
  })
  return { url, process: measured, dataFolder, [Symbol.asyncDispose]: () => measured.stop() }
}
