import { parentPort } from 'node:worker_threads'

import { markdownToHtml } from './markdown-to-html.ts'
import type { Sanitized, SanitizeOptions } from './sanitize.ts'

/** A text to render, as it comes to the worker. */
export interface MarkdownJob {
  text: string
  options: SanitizeOptions
}

const answer = (message: Sanitized | 'failed' | 'ready') => parentPort?.postMessage(message, [])

parentPort?.on('message', ({ text, options }: MarkdownJob) => {
  try {
    answer(markdownToHtml(text, options))
  } catch {
    // Such as nesting deeper than the stack.
    answer('failed')
  }
})
answer('ready')
