import { createSign, createPublicKey, randomBytes, type KeyObject } from 'node:crypto'

/**
 * A self-signed X.509 v3 certificate (PEM) for an RSA key: CA:TRUE, digitalSignature and keyCertSign, valid from
 * `notBefore` for `days`. Registries that are configured with a certificate bundle verify our tokens by it.
 */
export function selfSignedCertificate(
  privateKey: KeyObject,
  subject: { commonName: string; notBefore: Date; days: number },
): string {
  const name = sequence(set(sequence(oid('550403'), der(0x0c, Buffer.from(subject.commonName)))))
  const notAfter = new Date(subject.notBefore.getTime() + subject.days * 86_400_000)
  const algorithm = sequence(oid('2a864886f70d01010b'), der(0x05, Buffer.alloc(0)))
  const extensions = sequence(
    sequence(oid('551d13'), critical, der(0x04, sequence(der(0x01, Buffer.from([0xff]))))),
    sequence(oid('551d0f'), critical, der(0x04, der(0x03, Buffer.from([0x02, 0x84])))),
  )
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(serialNumber()),
    algorithm,
    name,
    sequence(time(subject.notBefore), time(notAfter)),
    name,
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  )
  const signature = createSign('sha256').update(body).sign(privateKey)
  const certificate = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function der(tag: number, content: Buffer): Buffer {
  const length = content.byteLength
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const bytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...bytes]), content])
}

const sequence = (...items: Buffer[]) => der(0x30, Buffer.concat(items))
const set = (...items: Buffer[]) => der(0x31, Buffer.concat(items))
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'))
const critical = der(0x01, Buffer.from([0xff]))

/** 16 random bytes whose first is neither zero nor negative: a DER integer must not begin with a needless zero. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40
  return bytes
}

/** A positive INTEGER: a leading zero keeps the sign bit clear. */
function integer(bytes: Buffer): Buffer {
  return der(0x02, (bytes[0] as number) & 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes)
}

/** GeneralizedTime, `YYYYMMDDHHMMSSZ`, from 2050 on; UTCTime before (RFC 5280 §4.1.2.5). */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, '')
  return date.getUTCFullYear() >= 2050
    ? der(0x18, Buffer.from(digits))
    : der(0x17, Buffer.from(digits.slice(2)))
}
