import { generateKeyPairSync } from 'node:crypto'
import dns from 'node:dns'
import http from 'node:http'
import https from 'node:https'
import tls from 'node:tls'

import { selfSignedCertificate } from '../../src/appview/services/certificate.ts'
import { listen, type Listening } from './listening.ts'

/**
 * https before a program that listens on loopback, under a public name that only this process believes in, as a proxy
 * would be: the PDS of a test network takes such a program for a confidential OAuth client.
 */
export class HttpsDoor implements AsyncDisposable {
  readonly url: string
  readonly hostname: string
  /** Paths with query, in the order they were asked for. */
  readonly asked: string[]
  readonly #listening: Listening
  readonly #distrust: () => void

  /** Before whatever listens at `port` by then. */
  static async open({ hostname, port }: { hostname: string; port: number }): Promise<HttpsDoor> {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const cert = selfSignedCertificate(privateKey, { commonName: hostname, notBefore: new Date(), days: 2 })
    const distrust = trust(hostname, cert)
    const asked: string[] = []
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
    const server = https.createServer({ key, cert }, (request, response) => {
      const { headers, method, url: path = '' } = request
      asked.push(path)
      const inner = http.request({ host: '127.0.0.1', port, path, method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      })
      inner.on('error', () => response.destroy())
      request.pipe(inner)
    })
    const listening = await listen(server, { host: '127.0.0.1', port: 0, what: 'https' })
    return new HttpsDoor({ hostname, asked, listening, distrust })
  }

  private constructor(parts: {
    hostname: string
    asked: string[]
    listening: Listening
    distrust: () => void
  }) {
    this.hostname = parts.hostname
    this.asked = parts.asked
    this.#listening = parts.listening
    this.#distrust = parts.distrust
    this.url = `https://${parts.hostname}:${parts.listening.port}`
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#distrust()
    return this.#listening.stop()
  }
}

/** Makes this process, and the PDS in it, believe in the name and its certificate, until what it returns is called. */
function trust(hostname: string, certificate: string): () => void {
  const authorities = tls.getCACertificates('default')
  tls.setDefaultCACertificates([...authorities, certificate])
  const lookup = dns.lookup
  const ours = (host: string, ...rest: never[]) =>
    Reflect.apply(lookup, dns, [host === hostname ? '127.0.0.1' : host, ...rest])
  Object.assign(dns, { lookup: ours })
  return () => {
    tls.setDefaultCACertificates(authorities)
    Object.assign(dns, { lookup })
  }
}
