import { writeSync } from 'node:fs'
import { homedir } from 'node:os'

import { getCredentials, inputBytesMax, listCredentials } from './docker-protocol.ts'
import { isTyped, readStandardInput } from './standard-input.ts'
import { findSurroundings, type Surroundings } from './surroundings.ts'

/** What docker and others call. They read standard output, also for why it failed. */
const dockerVerbs: Record<string, (surroundings: Surroundings) => string | Promise<string>> = {
  get: (surroundings) => `${getCredentials(readStandardInput(inputBytesMax), surroundings)}\n`,
  list: (surroundings) => `${listCredentials(surroundings)}\n`,
  async store(surroundings) {
    const { storeCredentials } = await import('./docker-store.ts')
    storeCredentials(readStandardInput(inputBytesMax), surroundings)
    return ''
  },
  async erase(surroundings) {
    const { eraseCredentials } = await import('./docker-store.ts')
    eraseCredentials(readStandardInput(inputBytesMax), surroundings)
    return ''
  },
}

/** `process.stdout` would load half of Node's streams. What is written here fits any pipe. */
function answer(text: string): void {
  if (text !== '') writeSync(1, text)
}

async function main(): Promise<number> {
  const [verb = 'help', ...words] = process.argv.slice(2)
  const surroundings = findSurroundings(process.env, homedir())
  const dockerVerb = Object.hasOwn(dockerVerbs, verb) ? dockerVerbs[verb] : undefined
  if (dockerVerb === undefined) {
    const { runVerb } = await import('./verbs.ts')
    return runVerb(verb, words, surroundings)
  }
  try {
    if (verb !== 'list' && isTyped())
      surroundings.warn(`${verb} is for clients, and reads standard input; see: help`)
    answer(await dockerVerb(surroundings))
    return 0
  } catch (error) {
    answer(`${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

void main().then((exitCode) => {
  process.exitCode = exitCode
})
