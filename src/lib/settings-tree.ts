import { z } from 'zod'

import { closestWord } from './spelling.ts'

/** One setting of a zod object schema, with its YAML path. */
export interface Leaf {
  path: string[]
  schema: z.ZodType
  description: string | undefined
}

/** All settings of a schema, in the order of their declaration. */
export function leavesOf(schema: z.ZodObject, path: string[] = []): Leaf[] {
  return Object.entries(schema.shape).flatMap(([key, child]) => {
    const inner = unwrap(child as z.ZodType)
    const here = [...path, key]
    if (inner instanceof z.ZodObject) return leavesOf(inner, here)
    return [{ path: here, schema: child as z.ZodType, description: descriptionOf(child as z.ZodType) }]
  })
}

/** `server.base_url` → `ATCR_SERVER_BASE_URL`. Computed from the declared path, never parsed back. */
export function environmentName(prefix: string, path: readonly string[]): string {
  return prefix + path.join('_').toUpperCase()
}

/** The schema of the values, without default and transformation. */
export function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return unwrap(schema.unwrap() as z.ZodType)
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return unwrap(schema.unwrap() as z.ZodType)
  if (schema instanceof z.ZodPipe) return unwrap(schema.in as z.ZodType)
  return schema
}

export function descriptionOf(schema: z.ZodType): string | undefined {
  if (schema.description !== undefined) return schema.description
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return descriptionOf(schema.unwrap() as z.ZodType)
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return descriptionOf(schema.unwrap() as z.ZodType)
  return undefined
}

/** The default as it would stand in the file; undefined when there is none. */
export function defaultOf(schema: z.ZodType): unknown {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return schema.def.defaultValue
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return defaultOf(schema.unwrap() as z.ZodType)
  return undefined
}

/** Keys that are no settings, and sections that are something else, each with what may have been meant. */
export function misplacedKeys(schema: z.ZodObject, raw: Record<string, unknown>): string[] {
  const known = leavesOf(schema).map(({ path }) => path)
  return misplacedIn(schema, raw, [], known)
}

function misplacedIn(schema: z.ZodObject, raw: object, path: string[], known: readonly string[][]): string[] {
  return Object.entries(raw).flatMap(([key, value]) => {
    const here = [...path, key]
    if (!Object.hasOwn(schema.shape, key))
      return [`${here.join('.')}: unknown setting${advice(schema, here, known)}`]
    const inner = unwrap(schema.shape[key] as z.ZodType)
    if (inner instanceof z.ZodObject) {
      if (value === null) return []
      if (isMapping(value)) return misplacedIn(inner, value, here, known)
      return [`${here.join('.')}: expected a section with settings, got ${shown(value)}`]
    }
    const element = inner instanceof z.ZodArray ? unwrap(inner.element as z.ZodType) : undefined
    if (!(element instanceof z.ZodObject) || !Array.isArray(value)) return []
    return value.flatMap((entry: unknown, index) =>
      isMapping(entry) ? misplacedIn(element, entry, [...here, String(index)], []) : [],
    )
  })
}

/** A slip of the fingers first, then a setting of that name in another section. */
function advice(schema: z.ZodObject, path: string[], known: readonly string[][]): string {
  const key = path.at(-1) as string
  const near = closestWord(key, Object.keys(schema.shape))
  if (near !== undefined) return `; did you mean ${[...path.slice(0, -1), near].join('.')}?`
  const elsewhere = known.find((other) => other.at(-1) === key)
  return elsewhere === undefined ? '' : `; did you mean ${elsewhere.join('.')}?`
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value in a message: not all of a long one. */
function shown(value: unknown): string {
  return Array.isArray(value) ? 'a list' : String(value).slice(0, 50)
}
