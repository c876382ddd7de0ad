import { existsSync, mkdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { isObject } from './credential-format.ts'
import { replaceFile } from './credential-writer.ts'

/** docker's settings are not as they should be; they stay as they are. */
export class DockerConfigError extends Error {
  override name = 'DockerConfigError'
}

/** What docker appends to `docker-credential-`. */
const helperName = 'atcr'

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
  const { config, text, target } = readConfig(path)
  const credHelpers = config['credHelpers'] ?? {}
  if (!isObject(credHelpers))
    throw new DockerConfigError(`credHelpers in ${path} is no object: mend it first`)
  const present = credHelpers[host]
  if (present === helperName) return { isChanged: false }
  if (typeof present === 'string') return { isChanged: false, helper: present }
  const changed = { ...config, credHelpers: { ...credHelpers, [host]: helperName } }
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
  const mode = existsSync(target) ? statSync(target).mode & 0o777 : 0o600
  replaceFile(target, formatLike(text, changed), mode)
  return { isChanged: true }
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
