import { CodedError, type CodedErrorOptions } from '../lib/errors.ts'

export type AtprotoErrorCode =
  | 'handle_unresolved'
  | 'did_unresolved'
  | 'address_refused'
  | 'unreachable'
  | 'xrpc_refused'
  | 'rate_limited'
  | 'auth_failed'
  | 'bad_answer'
  | 'login_denied'
  | 'login_unknown'
  | 'scope_missing'

export interface AtprotoErrorOptions extends CodedErrorOptions {
  status?: number
  xrpcError?: string
  retryAfterSeconds?: number
}

/** A failure of a conversation with the ATProto network; `status` and `xrpcError` are what the other side said. */
export class AtprotoError extends CodedError<AtprotoErrorCode> {
  readonly status: number | undefined
  readonly xrpcError: string | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(code: AtprotoErrorCode, message: string, options: AtprotoErrorOptions = {}) {
    super(code, message, options)
    this.status = options.status
    this.xrpcError = options.xrpcError
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}
