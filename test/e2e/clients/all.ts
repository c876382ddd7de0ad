import type { ClientSource } from './client.ts'
import { ctr } from './ctr.ts'
import { docker } from './docker.ts'
import { crane, oras, regctl } from './go-clients.ts'
import { helm } from './helm.ts'
import { buildah, podman } from './libpod.ts'
import { skopeo } from './skopeo.ts'

/** The clients that people have. */
export const clientSources: readonly ClientSource[] = [
  docker,
  podman,
  buildah,
  skopeo,
  ctr,
  crane,
  regctl,
  oras,
  helm,
]
