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
  const examples = help.examples.map(([line, purpose]) => `  # ${purpose}\n  $ ${line}`)
  return command
    .summary(help.summary)
    .description(help.description)
    .addHelpText('after', `\nExamples:\n${examples.join('\n')}`)
}

/** What {@link explain} was told of a command. */
export function findHelp(command: Command): CommandHelp | undefined {
  return helps.get(command)
}
