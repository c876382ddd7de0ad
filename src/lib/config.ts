import { parse as parseYaml, Document, type YAMLMap, isMap, type Scalar } from 'yaml'
import { z } from 'zod'

import { Secret } from './secret.ts'

/** One setting or section of a zod object schema, with its YAML path. */
interface Leaf {
  path: string[]
  schema: z.ZodType
  description: string | undefined
}

/** Everything wrong with the settings, one line each, so that a person mends them in one go. */
export class SettingsError extends Error {
  override name = 'SettingsError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`${problems.length} problem(s) in the settings:\n${problems.map((p) => `  - ${p}`).join('\n')}`)
    this.problems = problems
  }
}

/** What a program may be configured with: the schema, the prefix of its environment names, and older names. */
export interface SettingsDeclaration<Schema extends z.ZodObject> {
  schema: Schema
  environmentPrefix: string
  /** Older environment name → path of the setting it stands for. Read with a notice, overruled by the present name. */
  legacyEnvironment?: Record<string, string>
  /** Sections that {@link settingsTemplate} names and leaves empty: what few need. */
  folded?: readonly string[]
}

/** Settings as read, and notices that the door logs once logging works. */
export interface LoadedSettings<Settings> {
  settings: Settings
  notices: string[]
}

/**
 * Settings from the environment, over a YAML text, over the defaults in the schema.
 * @throws {SettingsError} listing unknown keys, wrong types and missing values together.
 */
export function loadSettings<Schema extends z.ZodObject>(
  declaration: SettingsDeclaration<Schema>,
  sources: { environment: Record<string, string | undefined>; yaml?: string },
): LoadedSettings<z.output<Schema>> {
  const problems: string[] = []
  const notices: string[] = []
  const raw = withSections(declaration.schema, readYaml(sources.yaml, problems))
  for (const leaf of leavesOf(declaration.schema)) {
    const name = environmentName(declaration.environmentPrefix, leaf.path)
    const legacyName = legacyNameOf(declaration, leaf.path, sources.environment)
    const value = sources.environment[name] ?? (legacyName && sources.environment[legacyName])
    if (value === undefined || value === '') continue
    if (sources.environment[name] === undefined) notices.push(`${legacyName} is an older name of ${name}`)
    setAt(raw, leaf.path, parseEnvironmentValue(leaf.schema, value))
  }
  const parsed = z.safeParse(declaration.schema.strict() as unknown as Schema, raw)
  if (!parsed.success) {
    problems.push(...parsed.error.issues.map((issue) => describeIssue(issue, declaration.environmentPrefix)))
  }
  if (!parsed.success || problems.length > 0) throw new SettingsError(problems)
  return { settings: parsed.data, notices }
}

/** The whole YAML file with every default, each key commented with what it is and its environment name. */
export function settingsTemplate(declaration: SettingsDeclaration<z.ZodObject>, heading: string): string {
  const document = new Document({})
  document.commentBefore = ` ${heading}`
  addSection(document.contents as unknown as YAMLMap, declaration.schema, [], declaration)
  return document.toString({ lineWidth: 110 })
}

/** `server.base_url` → `ATCR_SERVER_BASE_URL`. Computed from the declared path, never parsed back. */
export function environmentName(prefix: string, path: readonly string[]): string {
  return prefix + path.join('_').toUpperCase()
}

/** One setting as a reader of the documentation needs it. */
export interface SettingDescription {
  path: string
  environment: string
  description: string
  /** The default as it would stand in the file; `undefined` when there is none. */
  default: unknown
  isRequired: boolean
}

/** All settings of a program, in the order of their declaration. */
export function describeSettings(declaration: SettingsDeclaration<z.ZodObject>): SettingDescription[] {
  return leavesOf(declaration.schema).map((leaf) => ({
    path: leaf.path.join('.'),
    environment: environmentName(declaration.environmentPrefix, leaf.path),
    description: leaf.description ?? '',
    default: defaultOf(leaf.schema),
    isRequired: !leaf.schema.safeParse(undefined).success,
  }))
}

// --- building blocks for schemas ------------------------------------------------------------------

const durationUnits: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const sizeUnits: Record<string, number> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } // prettier-ignore

/** A duration such as `15m` or `720h`, read as milliseconds. */
export const duration = () =>
  z.string().transform((text, context) => quantity(text, durationUnits, 'a duration such as 15m', context))

/** A size such as `5GB` or `16MiB`, read as bytes. */
export const size = () =>
  z.string().transform((text, context) => quantity(text, sizeUnits, 'a size such as 5GB', context))

/** Text that must not be printed. */
export const secret = () => z.string().transform((text) => new Secret(text))

function quantity(
  text: string,
  units: Record<string, number>,
  wanted: string,
  context: z.RefinementCtx,
): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim())
  const unit = match && units[match[2] as string]
  if (!match || unit === undefined || unit === null) {
    context.addIssue({ code: 'custom', message: `expected ${wanted}, got ${JSON.stringify(text)}` })
    return z.NEVER
  }
  return Math.round(Number(match[1]) * unit)
}

// --- inside ----------------------------------------------------------------------------------------

function leavesOf(schema: z.ZodObject, path: string[] = []): Leaf[] {
  return Object.entries(schema.shape).flatMap(([key, child]) => {
    const inner = unwrap(child as z.ZodType)
    const here = [...path, key]
    if (inner instanceof z.ZodObject) return leavesOf(inner, here)
    return [{ path: here, schema: child as z.ZodType, description: descriptionOf(child as z.ZodType) }]
  })
}

function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return unwrap(schema.unwrap() as z.ZodType)
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return unwrap(schema.unwrap() as z.ZodType)
  if (schema instanceof z.ZodPipe) return unwrap(schema.in as z.ZodType)
  return schema
}

function descriptionOf(schema: z.ZodType): string | undefined {
  if (schema.description !== undefined) return schema.description
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return descriptionOf(schema.unwrap() as z.ZodType)
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return descriptionOf(schema.unwrap() as z.ZodType)
  return undefined
}

function defaultOf(schema: z.ZodType): unknown {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return schema.def.defaultValue
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return defaultOf(schema.unwrap() as z.ZodType)
  return undefined
}

function readYaml(text: string | undefined, problems: string[]): Record<string, unknown> {
  if (text === undefined) return {}
  try {
    const value: unknown = parseYaml(text)
    if (value === null || value === undefined) return {}
    if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
    problems.push('the file must hold a YAML mapping')
  } catch (error) {
    problems.push(`the file is not YAML: ${(error as Error).message}`)
  }
  return {}
}

/** Every section is there, so that what it lacks is told by name; `null`, as in the template, is "not set". */
function withSections(schema: z.ZodObject, raw: Record<string, unknown>): Record<string, unknown> {
  const result = Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== null))
  for (const [key, child] of Object.entries(schema.shape)) {
    const inner = unwrap(child as z.ZodType)
    if (!(inner instanceof z.ZodObject)) continue
    const section = result[key] ?? {}
    const isMapping = typeof section === 'object' && !Array.isArray(section)
    result[key] = isMapping ? withSections(inner, section as Record<string, unknown>) : section
  }
  return result
}

function parseEnvironmentValue(schema: z.ZodType, text: string): unknown {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodBoolean) return { true: true, '1': true, false: false, '0': false }[text] ?? text
  if (inner instanceof z.ZodNumber) return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
  if (inner instanceof z.ZodArray) {
    if (unwrap(inner.element as z.ZodType) instanceof z.ZodString)
      return text.split(',').map((part) => part.trim())
    return parseYaml(text)
  }
  return text
}

function legacyNameOf(
  declaration: SettingsDeclaration<z.ZodObject>,
  path: readonly string[],
  environment: Record<string, string | undefined>,
): string | undefined {
  const wanted = path.join('.')
  return Object.entries(declaration.legacyEnvironment ?? {}).find(
    ([name, target]) => target === wanted && environment[name] !== undefined,
  )?.[0]
}

function setAt(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path as [string, ...string[]]
  if (rest.length === 0) {
    target[key] = value
    return
  }
  const child = target[key]
  const section = typeof child === 'object' && child !== null ? (child as Record<string, unknown>) : {}
  target[key] = section
  setAt(section, rest, value)
}

function describeIssue(issue: z.core.$ZodIssue, prefix: string): string {
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${[...path, key].join('.')}: unknown setting`).join('\n  - ')
  }
  const isMissing = issue.code === 'invalid_type' && issue.message.includes('received undefined')
  const advice = isMissing
    ? `missing; set it in the file or as ${environmentName(prefix, path)}`
    : issue.message
  return `${path.join('.') || 'settings'}: ${advice}`
}

function addSection(
  map: YAMLMap,
  schema: z.ZodObject,
  path: string[],
  { environmentPrefix, folded = [] }: Pick<SettingsDeclaration<never>, 'environmentPrefix' | 'folded'>,
): void {
  for (const [key, child] of Object.entries(schema.shape)) {
    const here = [...path, key]
    const inner = unwrap(child as z.ZodType)
    const description = descriptionOf(child as z.ZodType)
    if (inner instanceof z.ZodObject) {
      const section = new Document({}).contents as unknown as YAMLMap
      section.flow = false
      const isFolded = folded.includes(here.join('.'))
      if (!isFolded) addSection(section, inner, here, { environmentPrefix, folded })
      const pair = new Document().createPair(key, isFolded ? null : section)
      comment(
        pair.key as unknown as Scalar,
        path.length === 0 ? `\n${description ?? ''}` : (description ?? ''),
      )
      map.add(pair)
      continue
    }
    const value = defaultOf(child as z.ZodType)
    const pair = new Document().createPair(key, value ?? null)
    if (isMap(pair.value)) pair.value.flow = false
    const choices = inner instanceof z.ZodEnum ? ` One of: ${inner.options.join(', ')}.` : ''
    comment(
      pair.key as unknown as Scalar,
      `${description ?? ''}${choices} [${environmentName(environmentPrefix, here)}]`,
    )
    map.add(pair)
  }
}

function comment(key: Scalar, text: string): void {
  if (text.startsWith('\n')) key.spaceBefore = true
  const lines = text.trim()
  if (lines !== '') key.commentBefore = lines.split('\n').map((line) => ` ${line}`).join('\n') // prettier-ignore
}
