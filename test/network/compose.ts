import { readFileSync } from 'node:fs'

import { parse } from 'yaml'

/** What our checks look at in a compose file, merges (`<<`) applied, variables still in it. */
export interface ComposeFile {
  services: Record<string, ComposeService>
  volumes?: Record<string, unknown>
  secrets?: Record<string, { file?: string }>
}

export interface ComposeService {
  image?: string
  build?: { context: string; dockerfile: string }
  environment?: Record<string, string>
  volumes?: string[]
  ports?: string[]
  read_only?: boolean
  restart?: string
  tmpfs?: string[]
  cap_drop?: string[]
  healthcheck?: { test: string[] }
  logging?: { options?: Record<string, string> }
  stop_grace_period?: string
}

export function readCompose(path: string): ComposeFile {
  return parse(readFileSync(path, 'utf8'), { merge: true }) as ComposeFile
}

const variable = /\$\{(\w+)(?::([-?])((?:[^{}]|\$\{[^}]*\})*))?\}/g

/** Names of the variables that a text takes from `.env`. */
export function variablesIn(text: string): string[] {
  return [...text.matchAll(variable)].flatMap(([, name = '', , rest = '']) => [name, ...variablesIn(rest)])
}

/** Compose's own replacement of `${NAME}`, `${NAME:-default}` and `${NAME:?message}`. */
export function interpolate(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(variable, (_, name: string, kind?: string, rest = '') => {
    const value = values[name]
    if (value !== undefined && value !== '') return value
    if (kind === '?') throw new Error(`${name}: ${rest}`)
    return kind === '-' ? interpolate(rest, values) : ''
  })
}

/** The environment that compose gives a service, given what stands in `.env`. */
export function environmentOf(
  service: ComposeService | undefined,
  values: Readonly<Record<string, string>>,
): Record<string, string> {
  const entries = Object.entries(service?.environment ?? {})
  return Object.fromEntries(entries.map(([name, text]) => [name, interpolate(text, values)]))
}

/** The variables of an `.env` template, with the values that stand there. */
export function readEnvTemplate(path: string): Record<string, string> {
  const lines = readFileSync(path, 'utf8').split('\n')
  return Object.fromEntries(
    lines.flatMap((line) => {
      const [, name, value] = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line) ?? []
      return name === undefined ? [] : [[name, value ?? '']]
    }),
  )
}
