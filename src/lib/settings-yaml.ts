import { parse } from 'yaml'

import { isMapping } from './settings-tree.ts'

/** Files of settings have a few thousand characters; what reads YAML takes its time over nested ones. */
export const settingsYamlLengthMax = 256 * 1024
/** Mappings in mappings: ours have three levels. */
const depthMax = 50
/** How often an anchor may be repeated, which is how a few lines become gigabytes. */
const aliasCountMax = 100

/** A YAML text as a mapping; what is wrong with it is added to the problems. Never throws. */
export function readSettingsYaml(text: string | undefined, problems: string[]): Record<string, unknown> {
  if (text === undefined) return {}
  const value = parseSettingsYaml(text, 'the file', problems)
  if (value === null || value === undefined) return {}
  if (isMapping(value)) return value
  problems.push('the file must hold a YAML mapping: `server:` and so on')
  return {}
}

/** A YAML text as it is read, within limits; `what` names it in problems. Never throws. */
export function parseSettingsYaml(text: string, what: string, problems: string[]): unknown {
  const tooMuch =
    text.length > settingsYamlLengthMax
      ? `longer than ${settingsYamlLengthMax} characters`
      : isNestedTooDeep(text)
        ? `nested deeper than ${depthMax} levels`
        : undefined
  if (tooMuch !== undefined) {
    problems.push(`${what} is ${tooMuch}`)
    return undefined
  }
  try {
    return parse(text, { maxAliasCount: aliasCountMax, logLevel: 'error' })
  } catch (error) {
    problems.push(`${what} is not YAML: ${error instanceof Error ? error.message.trim() : String(error)}`)
    return undefined
  }
}

/** Reckons generously, from the text alone: what would exhaust the stack must not reach the parser. */
function isNestedTooDeep(text: string): boolean {
  for (const line of text.split('\n')) {
    const opened = line.match(/[[{]/g)?.length ?? 0
    const blocks = /^[\s\-?:]*/.exec(line)?.[0].match(/[-?:](?=\s)/g)?.length ?? 0
    if (opened + blocks > depthMax) return true
    if ((/^ */.exec(line)?.[0].length ?? 0) > depthMax * 8) return true
  }
  return (text.match(/^\s*[[{]\s*$/gm)?.length ?? 0) > depthMax
}
