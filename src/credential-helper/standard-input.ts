import { fstatSync, readSync } from 'node:fs'

/** More came than there may be. */
export class InputTooLongError extends Error {
  override name = 'InputTooLongError'
}

const pauseMs = 5

/** All of standard input as text. @throws {InputTooLongError} when more than `bytesMax` come */
export function readStandardInput(bytesMax: number): string {
  const bytes = Buffer.alloc(bytesMax + 1)
  let length = 0
  while (length <= bytesMax) {
    const count = readSome(bytes, length)
    if (count === 0) return bytes.toString('utf8', 0, length)
    length += count
  }
  throw new InputTooLongError(`more than ${bytesMax} bytes came in`)
}

function readSome(bytes: Buffer, offset: number): number {
  for (;;) {
    try {
      return readSync(0, bytes, offset, bytes.length - offset, null)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // How Windows ends a pipe.
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN') throw error
      // Whoever opened it made it non-blocking, and has not written yet.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs)
    }
  }
}

/** Whether somebody is typing, who should be told what is waited for. */
export function isTyped(): boolean {
  // A glance first: asking properly loads a lot, and clients wait.
  return fstatSync(0).isCharacterDevice() && process.getBuiltinModule('node:tty').isatty(0)
}
