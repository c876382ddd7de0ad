import { readFileSync, statSync } from 'node:fs'

import { z } from 'zod'

import { environmentName, leavesOf, unwrap, type Leaf } from './settings-tree.ts'
import { parseSettingsYaml } from './settings-yaml.ts'
import { closestWord } from './spelling.ts'

/** The names and values of a process. */
export type Environment = Record<string, string | undefined>

/** After the name of a setting: the value is in a file, as container platforms hand out secrets. */
const fileSuffix = '_FILE'
/** A secret, a list or a page of text. */
const valueFileBytesMax = 64 * 1024

interface Names {
  environmentPrefix: string
  legacyEnvironment?: Record<string, string>
  foreignEnvironment?: readonly RegExp[]
}

/** What the environment says of one setting: a value to be read as YAML would be, or nothing. */
export function readEnvironment(
  leaf: Leaf,
  names: Names,
  environment: Environment,
  report: { problems: string[]; notices: string[] },
): { value: unknown } | undefined {
  const present = environmentName(names.environmentPrefix, leaf.path)
  for (const name of [present, ...legacyNames(names, leaf.path)]) {
    const text = readVariable(name, environment, report.problems)
    if (text === undefined) continue
    if (name !== present) report.notices.push(`${name} is an older name of ${present}`)
    return { value: parseValue(leaf.schema, text, name, report.problems) }
  }
  return undefined
}

/** Names that begin like ours and mean nothing, with what may have been meant. */
export function unknownNames(schema: z.ZodObject, names: Names, environment: Environment): string[] {
  const { environmentPrefix: prefix, foreignEnvironment = [], legacyEnvironment = {} } = names
  const settings = leavesOf(schema).map(({ path }) => environmentName(prefix, path))
  const known = new Set(
    [...settings, ...Object.keys(legacyEnvironment)].flatMap((name) => [name, name + fileSuffix]),
  )
  return Object.keys(environment)
    .filter((name) => name.startsWith(prefix) && environment[name] !== undefined && !known.has(name))
    .filter(
      (name) => ![...foreignEnvironment, ...platformNames(prefix)].some((pattern) => pattern.test(name)),
    )
    .map((name) => {
      const near = closestWord(name, known)
      return `${name} in the environment is no setting${near === undefined ? '' : `; did you mean ${near}?`}`
    })
}

/** What Kubernetes tells every container about a service that is called `hold` or `atcr-…`. */
function platformNames(prefix: string): RegExp[] {
  const service = `^${prefix}(?:[A-Z0-9_]+_)?`
  return [new RegExp(`${service}SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)$`), new RegExp(`${service}PORT(?:_\\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)?$`)] // prettier-ignore
}

/** The text of a variable or of the file it names; empty is as good as absent, which Compose cannot say otherwise. */
function readVariable(name: string, environment: Environment, problems: string[]): string | undefined {
  const text = environment[name] === '' ? undefined : environment[name]
  const file = environment[name + fileSuffix]
  if (file === undefined || file === '') return text
  if (text !== undefined) {
    problems.push(`${name} and ${name + fileSuffix} are both set; keep one of them`)
    return undefined
  }
  try {
    if (statSync(file).size > valueFileBytesMax)
      throw new Error(`it has more than ${valueFileBytesMax} bytes`)
    // An editor ends a file with a newline that belongs to no password.
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    problems.push(
      `${name + fileSuffix}: cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`,
    )
    return undefined
  }
}

function legacyNames({ legacyEnvironment = {} }: Names, path: readonly string[]): string[] {
  const wanted = path.join('.')
  return Object.keys(legacyEnvironment).filter((name) => legacyEnvironment[name] === wanted)
}

const booleans = new Map([['true', true], ['1', true], ['false', false], ['0', false]]) // prettier-ignore

function parseValue(schema: z.ZodType, text: string, name: string, problems: string[]): unknown {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodBoolean) return booleans.get(text) ?? text
  if (inner instanceof z.ZodNumber) return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
  if (!(inner instanceof z.ZodArray)) return text
  if (!(unwrap(inner.element as z.ZodType) instanceof z.ZodObject))
    return text.split(',').map((part) => part.trim())
  return parseSettingsYaml(text, name, problems) ?? []
}
