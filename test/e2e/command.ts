import { spawn } from 'node:child_process'

export interface CommandResult {
  status: number | null
  stdout: string
  stderr: string
}

/** Runs a real client without blocking the servers of this process. */
export function run(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, stdout, stderr }))
  })
}

/** Like {@link run}, and throws what the client said when it failed. */
export async function mustRun(
  command: string,
  args: readonly string[],
  env?: Record<string, string>,
): Promise<string> {
  const { status, stdout, stderr } = await run(command, args, env)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}\nended with ${status}\n${stderr}${stdout}`)
  return stdout
}
