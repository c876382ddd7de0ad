import type { Command } from 'commander'

/** What `--help` says of a command, and the generated page of commands. */
export interface CommandHelp {
  /** One line, for the list of commands; begins with a verb, in lower case, without a full stop. */
  summary: string
  /** What it does, what it needs and what it leaves alone: whole sentences. */
  description: string
  /** Lines as they are typed, each with what it is for. */
  examples: readonly (readonly [line: string, purpose: string])[]
}

const helps = new WeakMap<Command, CommandHelp>()

/** Gives a command its help, in the form that all commands share. */
export function explain(command: Command, help: CommandHelp): Command {
  helps.set(command, help)
  return command
    .summary(help.summary)
    .description(help.description)
    .addHelpText('after', () => `\nExamples:\n${examplesOf(command).join('\n')}`)
}

/** What {@link explain} was told of a command. */
export function findHelp(command: Command): CommandHelp | undefined {
  return helps.get(command)
}

/** Says in other words what was told of a command and those below it, where another program has them. */
export function rewordHelp(command: Command, reword: (text: string) => string): void {
  const help = helps.get(command)
  if (help !== undefined) {
    const examples = help.examples.map(([line, purpose]) => [reword(line), purpose] as const)
    const description = reword(help.description)
    helps.set(command, { ...help, description, examples })
    command.description(description)
  }
  for (const child of command.commands) rewordHelp(child, reword)
}

function examplesOf(command: Command): string[] {
  return (findHelp(command)?.examples ?? []).map(([line, purpose]) => `  # ${purpose}\n  $ ${line}`)
}
