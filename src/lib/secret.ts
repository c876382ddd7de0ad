import { inspect } from 'node:util'

/** A string that prints as `[redacted]` wherever it is logged, inspected or put into JSON; `.reveal()` gives it up. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [inspect.custom](): string {
    return '[redacted]'
  }
}
