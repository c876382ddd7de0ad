import type { Did } from '../../atproto/syntax.ts'

export interface Descriptor {
  mediaType: string
  digest: string
  sizeBytes: number
  platform?: { os: string; architecture: string; variant?: string }
  annotations?: Record<string, string>
  artifactType?: string
}
export interface ManifestRecord {
  repository: string
  repositories?: string[]
  digest: string
  mediaType: string
  holdDid?: Did
  holdEndpoint?: string
  manifestBlob?: { cid: string; sizeBytes: number }
  config?: Descriptor
  layers?: Descriptor[]
  manifests?: Descriptor[]
  subject?: Descriptor
  artifactType?: string
  annotations?: Record<string, string>
  createdAt: string
}
export interface TagRecord {
  repository: string
  tag: string
  digest: string
  createdAt: string
  updatedAt: string
}
export interface SailorProfileRecord {
  defaultHoldDid?: Did
  autoRemoveUntagged: boolean
  createdAt: string
  updatedAt: string
}
export interface CaptainRecord {
  owner: Did
  isPublic: boolean
  allowAllCrew: boolean
  successor?: Did
  deployedAt: string
}
export interface CrewRecord {
  member: Did
  role: string
  permissions: string[]
  addedAt: string
}
