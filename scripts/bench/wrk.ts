import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface WrkResult {
  requests: number
  requestsPerSecond: number
  p99Ms: number
}

const report = `done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format('\\nRESULT %d %d %d %d\\n', summary.requests, summary.duration,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(99)))
end
`

/** GETs of one URL by wrk. (It cannot HEAD: it waits for a body that the length promises.) */
export async function wrk(
  url: string,
  options: { folder: string; connections: number; seconds: number; authorization: string | undefined },
): Promise<WrkResult> {
  const script = join(options.folder, 'report.lua')
  await writeFile(script, report)
  const headers = ['Accept: application/vnd.oci.image.manifest.v1+json']
  if (options.authorization !== undefined) headers.push(`Authorization: ${options.authorization}`)
  const args = ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, '-s', script]
  const output = await outputOf('wrk', [...args, ...headers.flatMap((header) => ['-H', header]), url])
  const match = /^RESULT (\d+) (\d+) (\d+) (\d+)$/m.exec(output)
  if (match === null) throw new Error(`wrk said nothing of use:\n${output}`)
  const [requests = 0, micros = 1, errors = 0, p99Micros = 0] = match.slice(1).map(Number)
  if (errors > 0) throw new Error(`wrk: ${errors} of ${requests} requests to ${url} failed`)
  return { requests, requestsPerSecond: (requests / micros) * 1e6, p99Ms: p99Micros / 1000 }
}

function outputOf(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`${command} ended with ${code}`)),
    )
  })
}
