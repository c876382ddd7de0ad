/** `GET /v2/`: says that this is a registry, to whoever has a token. */
export function getBase(): Response {
  return Response.json({})
}
