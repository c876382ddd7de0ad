/** Options of a {@link CodedError}: `detail` may be shown to the caller, `cause` is for the log only. */
export interface CodedErrorOptions {
  cause?: unknown
  detail?: unknown
}

/**
 * An error whose code comes from a closed set, so that the edge that answers it can own a total table.
 * The message may be shown to the user: it names things and hides secrets.
 */
export class CodedError<Code extends string> extends Error {
  readonly code: Code
  readonly detail: unknown

  constructor(code: Code, message: string, options: CodedErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = new.target.name
    this.code = code
    this.detail = options.detail
  }
}
