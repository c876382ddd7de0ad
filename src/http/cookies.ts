import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'

import type { ServerEnv } from './serve.ts'

/** A cookie that only our own server reads: no script, no other site's request, https alone where there is https. */
export interface OpaqueCookie {
  read(context: Context<ServerEnv>): string | undefined
  write(context: Context<ServerEnv>, value: string, lifetimeSeconds: number): void
  clear(context: Context<ServerEnv>): void
}

/**
 * `Lax`, so that it is there when somebody comes back from the server they signed in at. On https its name begins with
 * `__Host-`, so that no neighbouring host can set it. On http, which is for development, the name carries the port and
 * a path keeps it from other programs, because cookies of one machine do not know of ports.
 */
export function opaqueCookie(options: { name: string; origin: string; path: string }): OpaqueCookie {
  const { protocol, port } = new URL(options.origin)
  const isSecure = protocol === 'https:'
  const name = isSecure || port === '' ? options.name : `${options.name}-${port}`
  const attributes = isSecure
    ? ({ secure: true, path: '/', prefix: 'host' } as const)
    : { secure: false, path: options.path }
  return {
    read: (context) => getCookie(context, name, isSecure ? 'host' : undefined),
    write: (context, value, lifetimeSeconds) =>
      setCookie(context, name, value, {
        ...attributes,
        httpOnly: true,
        sameSite: 'Lax',
        maxAge: lifetimeSeconds,
      }),
    clear: (context) => void deleteCookie(context, name, attributes),
  }
}
