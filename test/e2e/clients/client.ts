import type { LayoutDescriptor } from '../oci-layout.ts'

/** Who a client says it is. */
export interface Account {
  username: string
  password: string
}

/** An image (or index, chart, artifact) in an OCI layout on disk, under `tag`. */
export interface LocalImage {
  layoutPath: string
  tag: string
  descriptor: LayoutDescriptor
}

/**
 * What a client holds after a pull: the manifest's digest as it names it, and either every byte in a layout, or the
 * digest of a blob of the manifest that it knows the content by (an image id is the digest of a config).
 */
export type Pulled = { digest: string } & ({ layoutPath: string } | { blobDigest: string })

/** What a client is started with. */
export interface ClientOptions {
  /** `host:port`, plain http. */
  registry: string
  /** An empty folder: all of the client's state goes there. */
  folder: string
}

/**
 * A real client, driven by its command line. References are `<repository>:<tag>` without the host.
 * Every method throws what the client said when it failed.
 */
export interface Client extends AsyncDisposable {
  readonly version: string
  /** Checks and keeps credentials for what follows; a client that cannot check them only keeps them. */
  login(account: Account): Promise<void>
  logout(): Promise<void>
  /** The image that `push` takes, when it is not one of plain layers. */
  makeImage?: (name: string) => Promise<LocalImage>
  /** Some clients write a manifest of their own, so nothing is promised about its digest. */
  push(image: LocalImage, reference: string): Promise<void>
  pull(reference: string): Promise<Pulled>
  copy?: (from: string, to: string) => Promise<void>
  /** Pushes an index with all its images, of which there are two. */
  pushIndex?: (index: LocalImage, reference: string) => Promise<void>
  /** Pulls an index with as many of its images as the client can. */
  pullIndex?: (reference: string) => Promise<Pulled>
  /** Pushes an artifact about `image`, which stands under `reference`; answers the artifact's digest. */
  attach?: (image: LocalImage, reference: string, artifactType: string) => Promise<string>
  /** The digests of the artifacts about an image, as the client finds them. */
  findReferrers?: (reference: string) => Promise<string[]>
}

/** How to come by a client. */
export interface ClientSource {
  name: string
  /** What it has no command for. */
  lacks?: Partial<Record<'copy' | 'index' | 'artifact', string>>
  /** It takes no upload to another host than the registry's. */
  isStayingAtRegistry?: true
  /** A copy of what it never pulled uploads the blobs again. */
  isCopyingWithoutMount?: true
  /** Why it cannot be had on this machine; `undefined` when it can. */
  findObstacle(): string | undefined
  /** Begins whatever takes long before the client can be started. */
  prepare?: () => void
  start(options: ClientOptions): Promise<Client>
}
