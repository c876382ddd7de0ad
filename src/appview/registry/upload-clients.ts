/*
 * Clients that were seen to follow an upload to another host (test/e2e/client-matrix.test.ts). All the others get their
 * uploads here: what is built on a recent oras-go (oras, Helm …) refuses, so that nobody's credentials go astray, and
 * those that we do not know may think alike.
 */
const followers =
  /^(docker|moby|buildkit|containerd|skopeo|buildah|podman|containers|cri-o|regclient|crane|cosign)\/|\bgo-containerregistry\//i

/** Whether the client with this `User-Agent` takes a `Location` on the hold's host for the bytes of a blob. */
export function followsUploadElsewhere(userAgent: string | undefined): boolean {
  return followers.test(userAgent ?? '')
}
