import type { Readable, Writable } from 'node:stream'

/**
 * Frees the memory of bytes that nobody reads again. Without it V8 collects its whole heap for every 64 MB that came off
 * sockets, which costs more than receiving them. Views of shared memory are left alone.
 */
export function releaseBytes(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes
  // NOTE: Buffers of Node's pool, and parts of a larger piece, do not begin and end with their memory.
  if (byteLength === buffer.byteLength && byteLength > 0 && buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/**
 * Passes chunks from one socket to another, and frees each as soon as the kernel has it. Both ends are destroyed when
 * either breaks off; resolves once `target` has taken everything.
 */
export function pipeBytes(source: Readable, target: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      source.destroy()
      target.destroy()
      reject(error)
    }
    source.on('data', (chunk: Buffer) => {
      const goesOn = target.write(chunk, (error) => {
        // After a failure the kernel may still be reading it.
        if (error === null || error === undefined) releaseBytes(chunk)
      })
      if (!goesOn) source.pause()
    })
    target.on('drain', () => source.resume())
    source.once('end', () => target.end())
    source.once('error', fail)
    source.once('close', () => {
      if (!source.readableEnded) fail(new Error('the source broke off'))
    })
    target.once('finish', resolve)
    target.once('error', fail)
    target.once('close', () => {
      if (!target.writableFinished) fail(new Error('the connection is closed'))
    })
  })
}
