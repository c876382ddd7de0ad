import { Document, isMap, type Scalar, type YAMLMap } from 'yaml'
import { z } from 'zod'

import { Secret } from './secret.ts'
import { readEnvironment, unknownNames, type Environment } from './settings-environment.ts'
import { defaultOf, descriptionOf, environmentName, isMapping, leavesOf, misplacedKeys, unwrap } from './settings-tree.ts' // prettier-ignore
import { readSettingsYaml } from './settings-yaml.ts'

/** Everything wrong with the settings, one line each, so that a person mends them in one go. */
export class SettingsError extends Error {
  override name = 'SettingsError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`${problems.length} problem(s) in the settings:\n${problems.map((p) => `  - ${p}`).join('\n')}`)
    this.problems = problems
  }
}

/** What a program may be configured with: the schema, and its names in the environment. */
export interface SettingsDeclaration<Schema extends z.ZodObject> {
  schema: Schema
  environmentPrefix: string
  /** Older environment name → path of the setting it stands for. Read with a notice, overruled by the present name. */
  legacyEnvironment?: Record<string, string>
  /** Sections that {@link settingsTemplate} names and leaves empty: what few need. */
  folded?: readonly string[]
  /** Names with the prefix that belong to somebody else: no notice is given of them. */
  foreignEnvironment?: readonly RegExp[]
  /** Settings, and sections as a whole, that a running program takes over on SIGHUP; the others wait for a restart. */
  reloaded?: readonly string[]
  /** What is wrong between settings, one line each. Sections that are wrong by themselves are missing. */
  contradictions?(settings: Partial<z.output<Schema>>): string[]
}

/** Settings as read, and notices that the door logs once logging works. */
export interface LoadedSettings<Settings> {
  settings: Settings
  notices: string[]
}

/**
 * Settings from the environment, over a YAML text, over the defaults in the schema.
 * @throws {SettingsError} listing unknown keys, wrong types, missing values and contradictions together.
 */
export function loadSettings<Schema extends z.ZodObject>(
  declaration: SettingsDeclaration<Schema>,
  sources: { environment: Environment; yaml?: string },
): LoadedSettings<z.output<Schema>> {
  const { environmentPrefix: prefix, schema } = declaration
  const problems: string[] = []
  const notices: string[] = unknownNames(schema, declaration, sources.environment)
  const file = readSettingsYaml(sources.yaml, problems)
  problems.push(...misplacedKeys(schema, file))
  const raw = withSections(schema, file)
  for (const leaf of leavesOf(schema)) {
    const found = readEnvironment(leaf, declaration, sources.environment, { problems, notices })
    if (found !== undefined) setAt(raw, leaf.path, found.value)
  }
  const parsed = z.safeParse(schema, raw)
  // Unknown keys were told of, each with what may have been meant.
  const issues = parsed.error?.issues.filter(({ code }) => code !== 'unrecognized_keys') ?? []
  problems.push(...issues.map((issue) => describeIssue(issue, prefix)))
  const sound = parsed.success ? parsed.data : soundSections(schema, raw)
  problems.push(...(declaration.contradictions?.(sound as Partial<z.output<Schema>>) ?? []))
  if (!parsed.success || problems.length > 0) throw new SettingsError([...new Set(problems)])
  return { settings: parsed.data, notices }
}

/** The whole YAML file with every default, each key commented with what it is and its environment name. */
export function settingsTemplate(declaration: SettingsDeclaration<z.ZodObject>, heading: string): string {
  const document = new Document({})
  document.commentBefore = ` ${heading}. In brackets: its name in the environment; with _FILE behind it, that of a file with the value.`
  addSection(document.contents as unknown as YAMLMap, declaration.schema, [], declaration)
  return document.toString({ lineWidth: 110 })
}

/** One setting as a reader of the documentation needs it. */
export interface SettingDescription {
  path: string
  environment: string
  description: string
  /** The default as it would stand in the file; `undefined` when there is none. */
  default: unknown
  isRequired: boolean
  /** Whether a running program takes it over on SIGHUP. */
  isReloaded: boolean
}

/** All settings of a program, in the order of their declaration. */
export function describeSettings(declaration: SettingsDeclaration<z.ZodObject>): SettingDescription[] {
  return leavesOf(declaration.schema).map((leaf) => ({
    path: leaf.path.join('.'),
    environment: environmentName(declaration.environmentPrefix, leaf.path),
    description: leaf.description ?? '',
    default: defaultOf(leaf.schema),
    isRequired: !leaf.schema.safeParse(undefined).success,
    isReloaded: isReloaded(declaration, leaf.path),
  }))
}

/** Whether a running program takes a setting over on SIGHUP. */
export function isReloaded(declaration: { reloaded?: readonly string[] }, path: readonly string[]): boolean {
  return path.some((_, index) => declaration.reloaded?.includes(path.slice(0, index + 1).join('.')))
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
  const name = match?.[2] as string
  const unit = match !== null && Object.hasOwn(units, name) ? units[name] : undefined
  if (match === null || unit === undefined) {
    context.addIssue({ code: 'custom', message: `expected ${wanted}, got ${JSON.stringify(text)}` })
    return z.NEVER
  }
  return Math.round(Number(match[1]) * unit)
}

// --- inside ----------------------------------------------------------------------------------------

/** Every section is there, so that what it lacks is told by name; `null`, as in the template, is "not set". */
function withSections(schema: z.ZodObject, raw: Record<string, unknown>): Record<string, unknown> {
  const result = Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== null))
  for (const [key, child] of Object.entries(schema.shape)) {
    const inner = unwrap(child as z.ZodType)
    if (!(inner instanceof z.ZodObject)) continue
    const section = result[key]
    // What is no section was told of already.
    result[key] = withSections(inner, isMapping(section) ? section : {})
  }
  return result
}

/** Of settings with mistakes those top sections that have none. */
function soundSections(schema: z.ZodObject, raw: Record<string, unknown>): Record<string, unknown> {
  const sections = Object.entries(schema.shape).flatMap(([key, section]) => {
    const parsed = z.safeParse(section as z.ZodType, raw[key])
    return parsed.success ? [[key, parsed.data] as const] : []
  })
  return Object.fromEntries(sections)
}

function setAt(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path as [string, ...string[]]
  if (rest.length === 0) {
    target[key] = value
    return
  }
  const section = target[key]
  if (isMapping(section)) setAt(section, rest, value)
}

function describeIssue(issue: z.core.$ZodIssue, prefix: string): string {
  const path = issue.path.map(String)
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
