/** A CAR as an answer. A stream is closed when the caller goes away. */
export function carResponse(car: Uint8Array | AsyncIterable<Uint8Array>): Response {
  const chunks = car instanceof Uint8Array ? [car] : car
  return new Response(ReadableStream.from(chunks), {
    headers: { 'content-type': 'application/vnd.ipld.car' },
  })
}
