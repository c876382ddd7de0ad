/** The keyring of the system did not do what was asked; the message is for a person. */
export class KeyringError extends Error {
  override name = 'KeyringError'
}

/** The docker credential helper that keeps secrets in the keyring of a system: one protocol for three systems. */
const keyringOf: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'secretservice',
  darwin: 'osxkeychain',
  win32: 'wincred',
}

/**
 * Name of the keyring to keep new secrets in; `undefined`: in the file. `ATCR_KEYRING` names another of docker's helpers
 * (`pass`), or is `off`. Whether it works is known when it was tried.
 */
export function keyringName(
  environment: Record<string, string | undefined>,
  platform: NodeJS.Platform,
): string | undefined {
  const wanted = environment['ATCR_KEYRING']?.trim()
  if (wanted !== undefined && wanted !== '') return isKeyringName(wanted) ? wanted : undefined
  // Without a session bus the helper would start one of its own, and nobody would ever see it again.
  const hasBus = environment['DBUS_SESSION_BUS_ADDRESS'] !== undefined
  return platform === 'linux' && !hasBus ? undefined : keyringOf[platform]
}

/** Never this program itself, which would ask itself forever. */
const isKeyringName = (name: string) => /^[a-z0-9][a-z0-9_-]*$/.test(name) && !['off', 'atcr'].includes(name)

const outputBytesMax = 64 * 1024

/** Secrets in the keyring of the system, by docker's own helper for it. */
export class Keyring {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  /** @throws {KeyringError} when it has none or does not answer in `timeoutMs` */
  get(key: string, timeoutMs: number): string {
    const secret = findSecret(this.#run('get', key, timeoutMs))
    if (secret === undefined) throw new KeyringError(`the keyring ${this.name} gives no secret`)
    return secret
  }

  /** Stores and reads back. @throws {KeyringError} when what comes back is not what went in */
  put(key: string, user: string, secret: string, timeoutMs: number): void {
    this.#run('store', JSON.stringify({ ServerURL: key, Username: user, Secret: secret }), timeoutMs)
    if (this.get(key, timeoutMs) !== secret) {
      throw new KeyringError(`the keyring ${this.name} gives back another secret than it was given`)
    }
  }

  delete(key: string, timeoutMs: number): void {
    this.#run('erase', key, timeoutMs)
  }

  #run(verb: string, input: string, timeoutMs: number): string {
    const program = `docker-credential-${this.name}`
    const { spawnSync } = process.getBuiltinModule('node:child_process')
    const { status, stdout, error } = spawnSync(program, [verb], {
      input,
      encoding: 'utf8',
      timeout: timeoutMs,
      // Node waits for the end of it: one that passes over SIGTERM would keep docker waiting with us.
      killSignal: 'SIGKILL',
      maxBuffer: outputBytesMax,
      stdio: ['pipe', 'pipe', 'ignore'],
      windowsHide: true,
    })
    if (error !== undefined) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') throw new KeyringError(`${program} is not installed`)
      if (code === 'ETIMEDOUT')
        throw new KeyringError(`the keyring ${this.name} did not answer; is it locked?`)
      throw new KeyringError(`${program}: ${error.message}`, { cause: error })
    }
    if (status !== 0) {
      throw new KeyringError(
        `the keyring ${this.name} says: ${stdout.trim().slice(0, 200) || `exit code ${status}`}`,
      )
    }
    return stdout
  }
}

function findSecret(output: string): string | undefined {
  try {
    const answer: unknown = JSON.parse(output)
    const secret = (answer as { Secret?: unknown } | null)?.Secret
    return typeof secret === 'string' && secret !== '' ? secret : undefined
  } catch {
    return undefined
  }
}

/** Under what a secret stands in a keyring. The host is none, so that no client takes the entry for its own. */
export function keyringKey(host: string, account: string): string {
  return `https://docker-credential-atcr/${host}/${encodeURIComponent(account)}`
}
