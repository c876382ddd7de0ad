import type { WriteStream } from 'node:tty'

/** One line on a terminal that is written over again and again; elsewhere (a log file) nothing. */
export class ProgressLine {
  readonly #to: Pick<WriteStream, 'isTTY' | 'write'>
  #isShown = false

  constructor(to: Pick<WriteStream, 'isTTY' | 'write'>) {
    this.#to = to
  }

  show(text: string): void {
    if (!this.#to.isTTY) return
    this.#isShown = true
    this.#to.write(`\r\x1b[2K${text}`)
  }

  end(): void {
    if (this.#isShown) this.#to.write('\r\x1b[2K')
    this.#isShown = false
  }
}

const units = ['bytes', 'KB', 'MB', 'GB', 'TB', 'PB'] as const

/** `1.5 GB`: powers of a thousand, one digit after the point from KB on. */
export function formatBytes(bytes: number): string {
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)))
  const value = bytes / 1000 ** power
  return `${power === 0 ? value : value.toFixed(1)} ${units[power] ?? ''}`
}
