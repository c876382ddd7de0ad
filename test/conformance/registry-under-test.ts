import { createHash, createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'

import { exchange, type RawAnswer, type RawRequest } from './raw-http.ts'

/** Someone who can sign in at the registry. */
export interface Credentials {
  username: string
  password: string
}

/** Where the table is tried. Any registry will do; one without tokens has no credentials and is asked no rows about them. */
export interface RegistryAddress {
  url: string
  /** Whose repositories these are. */
  owner?: Credentials | undefined
  /** Someone else, who may write to his own repositories only. */
  stranger?: Credentials | undefined
  repository: string
  otherRepository: string
  strangersRepository: string
  /** PEM of the key that signs the registry's tokens: rows about expired ones need it. */
  signingKeyPem?: string | undefined
}

/** A place that an upload's `Location` names: maybe at another host. */
export interface UploadPlace {
  origin: string
  target: string
}

export const sha256 = (bytes: Uint8Array | string) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A registry that the rows of the table talk to, byte by byte, with the tokens they ask for. */
export class RegistryUnderTest {
  readonly address: RegistryAddress
  readonly #tokens = new Map<string, Promise<string>>()

  constructor(address: RegistryAddress) {
    this.address = address
  }

  get repository(): string {
    return this.address.repository
  }

  /** A path of the owner's repository. */
  path(rest: string, repository = this.repository): string {
    return `/v2/${repository}/${rest}`
  }

  /** Sends a request with the headers it has, and no others. */
  send(request: RawRequest, origin = this.address.url): Promise<RawAnswer> {
    return exchange(origin, request)
  }

  /** Sends a request with the owner's token for what the repository allows him. */
  async sendAsOwner(request: RawRequest, origin = this.address.url): Promise<RawAnswer> {
    return this.send({ ...request, headers: { ...(await this.ownerHeaders()), ...request.headers } }, origin)
  }

  /** The header with the owner's token for his two repositories; none where the registry has no tokens. */
  ownerHeaders(): Promise<Record<string, string>> {
    const { repository, otherRepository, owner } = this.address
    return this.bearer([`${repository}:pull,push,delete`, `${otherRepository}:pull,push,delete`], owner)
  }

  /** The header with a token of someone for scopes of repositories. */
  async bearer(scopes: string[], who: Credentials | undefined): Promise<Record<string, string>> {
    if (!this.address.owner) return {}
    return { Authorization: `Bearer ${await this.token(scopes, who)}` }
  }

  /** A registry token, asked for once; without anyone, an anonymous one. */
  token(scopes: string[], who: Credentials | undefined): Promise<string> {
    const key = JSON.stringify([scopes, who])
    let token = this.#tokens.get(key)
    token ??= this.fetchToken(scopes, who).then((answer) => {
      if (answer.status !== 200) throw new Error(`token: ${answer.status} ${answer.body.toString()}`)
      return (JSON.parse(answer.body.toString()) as { token: string }).token
    })
    this.#tokens.set(key, token)
    return token
  }

  /** What the token endpoint answers. */
  async fetchToken(scopes: string[], who: Credentials | undefined): Promise<RawAnswer> {
    const challenge =
      (await this.send({ method: 'GET', target: '/v2/' })).headers.get('www-authenticate') ?? ''
    const realm = new URL(/realm="([^"]+)"/.exec(challenge)?.[1] ?? '')
    realm.searchParams.set('service', /service="([^"]+)"/.exec(challenge)?.[1] ?? '')
    for (const scope of scopes) realm.searchParams.append('scope', `repository:${scope}`)
    const basic = who && Buffer.from(`${who.username}:${who.password}`).toString('base64')
    return this.send(
      {
        method: 'GET',
        target: `${realm.pathname}${realm.search}`,
        headers: basic === undefined ? {} : { Authorization: `Basic ${basic}` },
      },
      realm.origin,
    )
  }

  /** Begins an upload of the owner's. */
  async startUpload(repository = this.repository): Promise<UploadPlace> {
    const answer = await this.sendAsOwner({
      method: 'POST',
      target: this.path('blobs/uploads/', repository),
      body: '',
    })
    if (answer.status !== 202) throw new Error(`upload: ${answer.status} ${answer.body.toString()}`)
    return this.place(answer)
  }

  /** Where an answer's `Location` leads. */
  place(answer: RawAnswer): UploadPlace {
    const location = answer.headers.get('location')
    if (location === null) throw new Error('the answer has no Location')
    const url = new URL(location, this.address.url)
    return { origin: url.origin, target: `${url.pathname}${url.search}` }
  }

  /** Sends a request to an upload; the owner's token goes along to the registry only. */
  async sendToUpload(
    place: UploadPlace,
    method: string,
    rest: Omit<RawRequest, 'method' | 'target'> & { query?: string } = {},
  ): Promise<RawAnswer> {
    const { query, ...request } = rest
    const separator = place.target.includes('?') ? '&' : '?'
    const target = query === undefined ? place.target : `${place.target}${separator}${query}`
    const isRegistry = place.origin === new URL(this.address.url).origin
    const send = isRegistry ? this.sendAsOwner.bind(this) : this.send.bind(this)
    return send({ method, target, ...request }, place.origin)
  }

  /** Stores a blob in a repository of the owner's; answers its digest. */
  async pushBlob(bytes: Uint8Array, repository = this.repository): Promise<string> {
    const place = await this.startUpload(repository)
    const digest = sha256(bytes)
    const answer = await this.sendToUpload(place, 'PUT', {
      query: `digest=${digest}`,
      headers: { 'Content-Type': 'application/octet-stream' },
      body: bytes,
    })
    if (answer.status !== 201) throw new Error(`blob: ${answer.status} ${answer.body.toString()}`)
    return digest
  }

  /** A manifest of the owner's repository with blobs that are there, as a value to bend. */
  async imageManifest(): Promise<Record<string, unknown>> {
    this.#manifest ??= this.#makeManifest()
    return structuredClone(await this.#manifest)
  }

  #manifest: Promise<Record<string, unknown>> | undefined

  async #makeManifest(): Promise<Record<string, unknown>> {
    const config = Buffer.from('{}')
    const layer = randomBytes(100)
    return {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: await this.pushBlob(config),
        size: config.byteLength,
      },
      layers: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          digest: await this.pushBlob(layer),
          size: layer.byteLength,
        },
      ],
    }
  }

  /** The key that signs this registry's tokens. */
  signingKey(): KeyObject {
    if (this.address.signingKeyPem === undefined)
      throw new Error('rows about signed tokens need the signing key')
    return createPrivateKey(this.address.signingKeyPem)
  }
}
