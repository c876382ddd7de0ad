/**
 * What the credential helper and the AppView say to each other (RFC 8628, with a device secret in place of an access
 * token). Requests are JSON or forms; answers are JSON.
 */

/** To `POST /auth/device/code`. */
export interface DeviceCodeRequest {
  /** What the person will know the machine by; the AppView shortens and cleans it. */
  device_name?: string
}

/** A pairing has begun (RFC 8628 §3.2). */
export interface DeviceCodeAnswer {
  device_code: string
  /** `ABCD-EFGH`, to be typed by a person. */
  user_code: string
  verification_uri: string
  verification_uri_complete: string
  expires_in: number
  /** Seconds between two polls, at least. */
  interval: number
}

/** To `POST /auth/device/token`. */
export interface DeviceTokenRequest {
  device_code: string
}

/** The device is paired. The secret is shown this once. */
export interface DeviceTokenAnswer {
  device_secret: string
  handle: string
  did: string
}

/** RFC 8628 §3.5 and RFC 6749 §5.2. */
export type DeviceErrorCode =
  | 'authorization_pending'
  | 'slow_down'
  | 'access_denied'
  | 'expired_token'
  | 'invalid_request'

export interface DeviceErrorAnswer {
  error: DeviceErrorCode
  error_description: string
}

/** What every device secret begins with, so that it is known for one wherever it turns up. */
export const deviceSecretPrefix = 'atcr_device_'
