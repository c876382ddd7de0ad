import { CodedError, type CodedErrorOptions } from '../../lib/errors.ts'

/** One row of the table: the HTTP status, what to say when there is nothing better, and the word on the wire. */
interface OciErrorKind {
  status: number
  message: string
  /** The code sent, where it is not the key itself. */
  wireCode?: string
}

/**
 * Every error of the registry API, once. The first fourteen are the distribution spec's own codes; where its
 * endpoint table and practice differ, the comment says what we chose.
 */
const kinds = {
  BLOB_UNKNOWN: { status: 404, message: 'blob unknown to registry' },
  BLOB_UPLOAD_INVALID: { status: 400, message: 'blob upload invalid' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, message: 'blob upload unknown to registry' },
  DIGEST_INVALID: { status: 400, message: 'digest invalid' },
  // The spec's endpoint table (end-7) lists 404 for a manifest that names a missing blob. Distribution answers
  // 400, clients treat 404 on PUT as "no such repository" and retry elsewhere; so 400.
  MANIFEST_BLOB_UNKNOWN: { status: 400, message: 'manifest names a blob unknown to registry' },
  MANIFEST_INVALID: { status: 400, message: 'manifest invalid' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest unknown to registry' },
  NAME_INVALID: { status: 400, message: 'invalid repository name' },
  NAME_UNKNOWN: { status: 404, message: 'repository name not known to registry' },
  SIZE_INVALID: { status: 400, message: 'size does not match the bytes' },
  UNAUTHORIZED: { status: 401, message: 'authentication required' },
  DENIED: { status: 403, message: 'requested access to the resource is denied' },
  UNSUPPORTED: { status: 405, message: 'the operation is unsupported' },
  TOOMANYREQUESTS: { status: 429, message: 'too many requests' },

  // Not among the fourteen; Distribution sends them and clients know them.
  RANGE_INVALID: { status: 416, message: 'range invalid' },
  TAG_INVALID: { status: 400, message: 'tag invalid' },
  PAGINATION_NUMBER_INVALID: { status: 400, message: 'invalid number of results requested' },
  UNAVAILABLE: { status: 503, message: 'service unavailable' },
  UNKNOWN: { status: 500, message: 'internal error' },

  // The spec asks for 413 and names no code for it.
  MANIFEST_TOO_LARGE: { status: 413, message: 'manifest too large', wireCode: 'SIZE_INVALID' },
  // Of the token endpoint, where RFC 6749 asks for 400.
  TOKEN_REQUEST_INVALID: { status: 400, message: 'invalid token request', wireCode: 'UNSUPPORTED' },
  // A path below `/v2/` that is no endpoint of ours.
  ENDPOINT_UNKNOWN: { status: 404, message: 'no such endpoint', wireCode: 'UNSUPPORTED' },
} as const satisfies Record<string, OciErrorKind>

/** The closed set of what can go wrong in the registry API. */
export type OciErrorCode = keyof typeof kinds

const table: Record<OciErrorCode, OciErrorKind> = kinds

/** All codes, for tests of total tables and for the generated list of errors. */
export const ociErrorCodes = Object.keys(kinds) as OciErrorCode[]

/** An error in the registry's own words. Without a message, the code's usual one. */
export class OciError extends CodedError<OciErrorCode> {
  constructor(code: OciErrorCode, message: string = table[code].message, options: CodedErrorOptions = {}) {
    super(code, message, options)
  }

  /** The HTTP status this error is answered with. */
  get status(): number {
    return table[this.code].status
  }
}

/** HTTP status of a code. */
export function ociErrorStatus(code: OciErrorCode): number {
  return table[code].status
}

/** The JSON body of an error answer (distribution spec, "Error Codes"). */
export interface OciErrorBody {
  errors: { code: string; message: string; detail?: unknown }[]
}

/** Renders errors in the form every registry client reads. */
export function ociErrorBody(...errors: Pick<OciError, 'code' | 'message' | 'detail'>[]): OciErrorBody {
  return {
    errors: errors.map(({ code, message, detail }) => ({
      code: table[code].wireCode ?? code,
      message,
      ...(detail === undefined ? {} : { detail }),
    })),
  }
}
