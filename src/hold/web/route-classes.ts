const beginnings: readonly [beginning: string, route: string][] = [
  ['/uploads/', 'upload'],
  ['/blobs/', 'blob'],
  ['/admin', 'admin'],
  ['/assets/', 'asset'],
  ['/health', 'health'],
  ['/ready', 'health'],
  ['/xrpc/_health', 'health'],
  ['/xrpc/com.atproto.sync.getBlob', 'presign'],
  ['/xrpc/com.atproto.sync.', 'sync'],
  ['/xrpc/com.atproto.repo.', 'repo'],
  ['/xrpc/io.atcr.hold.initiateUpload', 'upload-control'],
  ['/xrpc/io.atcr.hold.getPartUploadUrl', 'upload-control'],
  ['/xrpc/io.atcr.hold.completeUpload', 'upload-control'],
  ['/xrpc/io.atcr.hold.abortUpload', 'upload-control'],
  ['/xrpc/io.atcr.hold.getUploadStatus', 'upload-control'],
  ['/xrpc/io.atcr.hold.notifyManifest', 'notice'],
  ['/xrpc/', 'xrpc'],
  ['/.well-known/', 'identity'],
]

/** A request target as one of a few words, for metrics: never a name, so that strangers cannot make more of them. */
export function routeClassOf(target: string): string {
  return beginnings.find(([beginning]) => target.startsWith(beginning))?.[1] ?? 'page'
}
