import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

/** The processes that led here. */
export interface ProcessTable {
  parentPid: number
  find(pid: number): { parentPid: number; words: string[] } | undefined
}

const commandLineBytesMax = 64 * 1024
const psTimeoutMs = 200

/** Where the system tells of other processes: /proc on Linux, `ps` elsewhere; Windows tells nothing that is quick. */
export function systemProcesses(platform: NodeJS.Platform, parentPid: number): ProcessTable {
  const find = platform === 'linux' ? findInProc : platform === 'win32' ? () => undefined : findByPs
  return {
    parentPid,
    find(pid) {
      try {
        return find(pid)
      } catch {
        return undefined
      }
    },
  }
}

function findInProc(pid: number): ReturnType<ProcessTable['find']> {
  const words = readBeginning(`/proc/${pid}/cmdline`).split('\0')
  // The name of the program, in parentheses, may hold any character (proc_pid_stat(5)).
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const parentPid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  return { parentPid, words }
}

function readBeginning(path: string): string {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(commandLineBytesMax)
    return bytes.toString('utf8', 0, readSync(file, bytes))
  } finally {
    closeSync(file)
  }
}

function findByPs(pid: number): ReturnType<ProcessTable['find']> {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const { stdout } = spawnSync('ps', ['-o', 'ppid=,args=', '-p', String(pid)], {
    encoding: 'utf8',
    timeout: psTimeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: commandLineBytesMax,
  })
  const [parentPid = '', ...words] = stdout.trim().split(/\s+/)
  return /^\d+$/.test(parentPid) ? { parentPid: Number(parentPid), words } : undefined
}
