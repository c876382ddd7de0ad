/** `GET /v2/`: says that this is a registry, to whoever has a token. SPEC §2.1. */
export function getBase(): Response {
  return Response.json({})
}
