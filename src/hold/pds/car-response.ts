/** A CAR as an answer. A stream is closed when the caller goes away. */
export function carResponse(car: Uint8Array | AsyncIterable<Uint8Array>): Response {
  const body = car instanceof Uint8Array ? new Uint8Array(car) : ReadableStream.from(car)
  return new Response(body as BodyInit, { headers: { 'content-type': 'application/vnd.ipld.car' } })
}
