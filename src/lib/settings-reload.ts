import { isDeepStrictEqual } from 'node:util'

import type { z } from 'zod'

import { isReloaded, type SettingsDeclaration } from './config.ts'
import { Secret } from './secret.ts'
import { isMapping, leavesOf } from './settings-tree.ts'

/** What came of reading settings again. */
export interface Reloading<Settings> {
  /** Those that a running program may go by: the present ones, with what may change as it was read. */
  settings: Settings
  /** Paths of settings that change now. */
  changed: string[]
  /** Paths of settings that were changed too, and wait for a restart. */
  waiting: string[]
}

/** Compares settings read again with those a program goes by. */
export function compareSettings<Schema extends z.ZodObject>(
  declaration: SettingsDeclaration<Schema>,
  current: z.output<Schema>,
  read: z.output<Schema>,
): Reloading<z.output<Schema>> {
  const settings = copyOf(current) as z.output<Schema>
  const result: Reloading<z.output<Schema>> = { settings, changed: [], waiting: [] }
  for (const { path } of leavesOf(declaration.schema)) {
    const next = valueAt(read, path)
    if (isSame(valueAt(current, path), next)) continue
    const canChange = isReloaded(declaration, path)
    result[canChange ? 'changed' : 'waiting'].push(path.join('.'))
    if (canChange) put(settings, path, next)
  }
  return result
}

/** Sections anew, values as they are: those of secrets cannot be copied. */
function copyOf(value: unknown): unknown {
  if (!isMapping(value) || value instanceof Secret) return value
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, copyOf(child)]))
}

function valueAt(settings: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (isMapping(at) ? at[key] : undefined), settings)
}

function put(settings: unknown, path: readonly string[], value: unknown): void {
  const section = valueAt(settings, path.slice(0, -1))
  if (isMapping(section)) section[path.at(-1) as string] = value
}

function isSame(one: unknown, other: unknown): boolean {
  return one instanceof Secret && other instanceof Secret
    ? one.reveal() === other.reveal()
    : isDeepStrictEqual(one, other)
}
