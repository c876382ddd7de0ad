import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

import type { Command } from 'commander'
import { CommanderError } from 'commander'
import { describe, expect, test } from 'vitest'

import { allInOneProgram } from '../src/all-in-one/program.ts'
import { appViewProgram } from '../src/appview/program.ts'
import { holdProgram } from '../src/hold/program.ts'
import { findHelp } from '../src/lib/command-help.ts'
import { createCommand } from '../src/lib/door.ts'

/** Goal: a command line that teaches. Method: every command of every program is asked for its help, and for what it has not. */

const programs = {
  atcr: () => createCommand(allInOneProgram, {}),
  'atcr-hold': () => createCommand(holdProgram, {}),
  'atcr-appview': () => createCommand(appViewProgram, {}),
}

interface Leaf {
  path: string[]
  command: Command
}

function leavesOf(command: Command, path: string[] = []): Leaf[] {
  return command.commands.flatMap((child) => {
    const here = [...path, child.name()]
    return child.commands.length > 0 ? leavesOf(child, here) : [{ path: here, command: child }]
  })
}

/** What a command line prints, and how it ends; nothing is run but what Commander itself does. */
async function say(create: () => Command, words: string[]): Promise<{ said: string; exitCode: number }> {
  const program = create()
  let said = ''
  const listen = (command: Command): void => {
    command.configureOutput({ writeOut: (text) => (said += text), writeErr: (text) => (said += text) })
    command.commands.forEach(listen)
  }
  listen(program)
  const error: unknown = await program.parseAsync(words, { from: 'user' }).catch((it: unknown) => it)
  if (!(error instanceof CommanderError)) throw new Error(`${words.join(' ')} was run`, { cause: error })
  return { said, exitCode: error.exitCode }
}

describe.each(Object.entries(programs))('%s', (name, create) => {
  const leaves = leavesOf(create())

  test('has the commands that all servers share', () => {
    const paths = leaves.map(({ path }) => path.join(' '))
    expect(paths).toEqual(expect.arrayContaining(['serve', 'config init', 'healthcheck']))
  })

  test.each(leaves.map(({ path }) => path.join(' ')))('%s: help with a summary, sentences and examples', async (path) => {
    const { command } = leaves.find((leaf) => leaf.path.join(' ') === path) as Leaf
    const { said, exitCode } = await say(create, [...path.split(' '), '--help'])
    expect(exitCode).toBe(0)
    expect(said).toContain('Examples:')
    const help = findHelp(command)
    expect(help, 'explain() gives a command its help').toBeDefined()
    expect(help?.summary).toMatch(/^[a-z].{5,75}[^.]$/)
    expect(help?.description).toMatch(/^[A-Z][^]{40,}\.$/)
    expect(help?.examples.length).toBeGreaterThan(0)
    for (const [line] of help?.examples ?? []) {
      expect(said).toContain(line)
      expect(line).toContain(`${name} ${path}`)
      // Every option that an example shows is one.
      const known = command.options.flatMap(({ long, short }) => [long, short])
      for (const flag of line.match(/(?<=\s)--?[a-z][\w-]*/g) ?? []) expect(known, line).toContain(flag)
    }
    for (const { flags, description } of command.options) expect(description, flags).not.toBe('')
  }) // prettier-ignore

  test('a list of commands fits its lines', async () => {
    const { said } = await say(create, ['--help'])
    for (const { path } of leaves) expect(said).toContain(path[0] as string)
    expect(said).toContain('Exit codes:')
  })

  test('what is mistyped is answered with what may have been meant', async () => {
    for (const { path } of leaves) {
      const typo = [...path.slice(0, -1), `${path.at(-1)?.slice(0, -1)}`]
      const { said, exitCode } = await say(create, typo)
      expect(exitCode).not.toBe(0)
      expect(said).toMatch(new RegExp(`Did you mean .*${path.at(-1)}`))
    }
  })

  test('an unknown option is refused', async () => {
    const { said, exitCode } = await say(create, ['serve', '--confg', 'x.yaml'])
    expect(exitCode).not.toBe(0)
    expect(said).toContain('Did you mean --config?')
  })
})

test('whoever has read enough of an answer may go', async () => {
  const child = spawn(process.execPath, ['src/hold/main.ts', 'config', 'init'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.destroy()
  const [said, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  expect({ said, exitCode }).toEqual({ said: '', exitCode: 0 })
})
