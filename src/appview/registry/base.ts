import type { Answer } from './answer.ts'

/** `GET /v2/`: says that this is a registry, to whoever has a token. */
export function getBase(): Answer {
  return { status: 200, headers: { 'content-type': 'application/json', 'content-length': '2' }, body: '{}' }
}
