/**
 * What a token is asked for, or what it grants: an entry of `access` in a registry token (Distribution, "Token
 * scope"). `name` is text as the client sent it, e.g. a repository path.
 */
export interface Scope {
  type: string
  name: string
  actions: string[]
}

/** Scopes read from one request at most; a client that mounts from many repositories sends a few. */
const scopeCountMax = 100
const scopeLengthMax = 1024

const typeGrammar = /^[a-z0-9]+(?:\([a-z0-9]+\))?$/
const actionGrammar = /^(?:\*|[a-z]+)$/

/**
 * Reads `scope` parameters: given once or several times, each with one or more scopes separated by spaces. A scope
 * is `<type>:<name>:<actions>`; the name may hold colons itself (`repository:did:plc:xyz/app:pull,push`), so it
 * lies between the first colon and the last. The same resource named twice gives one scope with all its actions.
 *
 * What is no scope is left out instead of refused: a token then grants less, and the request that needs more says
 * so.
 */
export function parseScopes(values: string | readonly string[]): Scope[] {
  const scopes = new Map<string, Scope>()
  for (const text of words(values)) {
    const scope = parseScope(text)
    if (!scope) continue
    const key = `${scope.type}:${scope.name}`
    const earlier = scopes.get(key)
    if (earlier) earlier.actions = [...new Set([...earlier.actions, ...scope.actions])]
    else if (scopes.size < scopeCountMax) scopes.set(key, scope)
  }
  return [...scopes.values()]
}

/** Reads one scope; `undefined` when it is none. */
export function parseScope(text: string): Scope | undefined {
  const first = text.indexOf(':')
  const last = text.lastIndexOf(':')
  if (text.length > scopeLengthMax || first < 0 || last <= first + 1) return undefined
  const type = text.slice(0, first)
  const name = text.slice(first + 1, last)
  const actions = text
    .slice(last + 1)
    .split(',')
    .filter((action) => action !== '')
  if (!typeGrammar.test(type) || !actions.every((action) => actionGrammar.test(action))) return undefined
  // `repository(plugin)` is a repository with a class that only Docker Hub used.
  return { type: type.replace(/\(.*\)$/, ''), name, actions: [...new Set(actions)] }
}

/** The text of a scope, as it stands in a challenge. */
export function formatScope({ type, name, actions }: Scope): string {
  return `${type}:${name}:${actions.join(',')}`
}

/** Whether a granted scope's actions cover one action; `*` covers all. */
export function coversAction(actions: readonly string[], action: string): boolean {
  return actions.includes(action) || actions.includes('*')
}

function words(values: string | readonly string[]): string[] {
  return (typeof values === 'string' ? [values] : values).flatMap((value) => value.split(' '))
}
