import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'

import { CommandError } from './command-error.ts'
import { reasonOf, type Fetch } from './registry-client.ts'
import { isLoopback, type Registry } from './server-url.ts'

/** A build that a registry offers. */
export interface Offered {
  /** Where it comes from, compressed. */
  url: string
  /** Of the program itself. */
  sha256: string
}

const listBytesMax = 64 * 1024
const programBytesMax = 512 * 1024 * 1024
const redirectCountMax = 5
const listTimeoutMs = 15_000
const downloadTimeoutMs = 15 * 60_000

/** A build in the list of checksums of a registry; `undefined` where it has none for this machine. */
export async function findOffered(
  fetch: Fetch,
  { origin }: Registry,
  fileName: string,
): Promise<Offered | undefined> {
  const response = await getFollowing(fetch, `${origin}/install/SHA256SUMS`, listTimeoutMs)
  const sums = await readText(response)
  const line = sums.split('\n').find((it) => it.endsWith(`  ${fileName}`))
  const sha256 = /^[0-9a-f]{64}/.exec(line ?? '')?.[0]
  return sha256 === undefined ? undefined : { sha256, url: `${origin}/install/${fileName}.gz` }
}

/** @throws {CommandError} when what comes is not what the checksum names */
export async function downloadVerified(fetch: Fetch, { url, sha256 }: Offered, path: string): Promise<void> {
  const response = await getFollowing(fetch, url, downloadTimeoutMs)
  const hash = createHash('sha256')
  await pipeline(
    Readable.from(response.body ?? []),
    createGunzip() as Transform,
    async function* (chunks: AsyncIterable<Buffer>) {
      let length = 0
      for await (const chunk of chunks) {
        length += chunk.length
        if (length > programBytesMax) throw new CommandError('what is downloaded is far too large; nothing was changed') // prettier-ignore
        hash.update(chunk)
        yield chunk
      }
    },
    createWriteStream(path, { flags: 'wx', mode: 0o700 }),
  ).catch((error: unknown) => {
    if (error instanceof CommandError || (error as NodeJS.ErrnoException).syscall !== undefined) throw error
    throw new CommandError(`the download broke: ${reasonOf(error)}; nothing was changed`, { cause: error })
  })
  if (hash.digest('hex') !== sha256) {
    throw new CommandError(`the checksum of what came from ${url} is wrong; nothing was changed`)
  }
}

/** Builds may be kept elsewhere than at the registry: what holds is the checksum, over HTTPS. */
async function getFollowing(fetch: Fetch, from: string, timeoutMs: number): Promise<Response> {
  let url = from
  for (let step = 0; step < redirectCountMax; step++) {
    const { protocol, hostname } = new URL(url)
    if (protocol !== 'https:' && !isLoopback(hostname)) throw new CommandError(`${url} is not https://`)
    const signal = AbortSignal.timeout(timeoutMs)
    const response = await fetch(url, { redirect: 'manual', signal }).catch((error: unknown) => {
      throw new CommandError(`${url} does not answer: ${reasonOf(error)}`, { cause: error })
    })
    const location = response.headers.get('location')
    if (response.status === 200) return response
    await response.body?.cancel()
    if (response.status < 300 || response.status >= 400 || location === null) {
      throw new CommandError(`${url} answered ${response.status}`)
    }
    url = new URL(location, url).href
  }
  throw new CommandError(`${from} leads in a circle`)
}

async function readText(response: Response): Promise<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > listBytesMax) throw new CommandError('the list of checksums is too long to be one')
  }
  return text
}
