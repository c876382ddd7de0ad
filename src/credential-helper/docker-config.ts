import { existsSync, mkdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { lockFile } from '../lib/file-lock.ts'
import { isObject } from './credential-format.ts'
import { replaceFile } from './credential-writer.ts'

/** docker's settings are not as they should be; they stay as they are. */
export class DockerConfigError extends Error {
  override name = 'DockerConfigError'
}

/** What docker appends to `docker-credential-`. */
const helperName = 'atcr'
/** In the folder of docker's settings. */
const lockName = '.docker-credential-atcr.lock'
const lockWaitMs = 10_000

/** docker's file of settings: in `DOCKER_CONFIG`, else `~/.docker`. */
export function dockerConfigPath(environment: Record<string, string | undefined>, home: string): string {
  const folder = environment['DOCKER_CONFIG']
  return join(folder === undefined || folder === '' ? join(home, '.docker') : folder, 'config.json')
}

/** The registries that this program answers for. @throws {DockerConfigError} */
export function findConfiguredHosts(path: string): string[] {
  const { credHelpers } = readConfig(path).config
  if (!isObject(credHelpers)) return []
  return Object.keys(credHelpers).filter((host) => credHelpers[host] === helperName)
}

/**
 * Makes docker ask this program for a registry, and leaves everything else as it is. `helper` in the answer: another program
 * that is asked already; nothing is changed then.
 * @throws {DockerConfigError} when the file cannot be understood; it is not touched
 */
export function configureDocker(path: string, host: string): { isChanged: boolean; helper?: string } {
  const present = findHelper(readConfig(path).config, path, host) ?? putHelper(path, host)
  if (present === undefined) return { isChanged: true }
  return present === helperName ? { isChanged: false } : { isChanged: false, helper: present }
}

/** Which program docker asks for a registry. @throws {DockerConfigError} */
function findHelper(config: DockerConfig['config'], path: string, host: string): string | undefined {
  const credHelpers = config['credHelpers'] ?? {}
  if (!isObject(credHelpers))
    throw new DockerConfigError(`credHelpers in ${path} is no object: mend it first`)
  const present = credHelpers[host]
  return typeof present === 'string' ? present : undefined
}

/** Unless another process of this program has put one there by now: docker itself locks nothing. Answers with that one. */
function putHelper(path: string, host: string): string | undefined {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  using _lock = lockFile(join(dirname(path), lockName), lockWaitMs)
  const { config, text, target } = readConfig(path)
  const present = findHelper(config, path, host)
  if (present !== undefined) return present
  const credHelpers = { ...(config['credHelpers'] as object | undefined), [host]: helperName }
  const mode = existsSync(target) ? statSync(target).mode & 0o777 : 0o600
  replaceFile(target, formatLike(text, { ...config, credHelpers }), mode)
  return undefined
}

interface DockerConfig {
  config: Record<string, unknown>
  text: string
  /** Where it really is: many keep it elsewhere and link it. */
  target: string
}

function readConfig(path: string): DockerConfig {
  if (!existsSync(path)) return { config: {}, text: '', target: path }
  const target = realpathSync(path)
  const text = readFileSync(target, 'utf8')
  if (text.trim() === '') return { config: {}, text: '', target }
  const config = parse(path, text)
  if (!isObject(config))
    throw new DockerConfigError(`${path} holds no settings: mend it first; it was not touched`)
  return { config, text, target }
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new DockerConfigError(`${path} is not JSON: mend it first; it was not touched`, { cause: error })
  }
}

/** With the indent and the end of the text that was there; docker's own is a tab and no end of line. */
function formatLike(text: string, config: object): string {
  const indent = text === '' ? '\t' : (/^\{\r?\n([ \t]+)/.exec(text)?.[1] ?? '')
  return JSON.stringify(config, undefined, indent) + (text.endsWith('\n') ? '\n' : '')
}
