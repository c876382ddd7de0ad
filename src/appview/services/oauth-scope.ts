import { manifestCollection } from '../../protocol/lexicon/manifest-record.ts'
import { repoPageCollection } from '../../protocol/lexicon/repo-page-record.ts'
import { sailorProfileCollection } from '../../protocol/lexicon/sailor-profile-record.ts'
import { starCollection } from '../../protocol/lexicon/star-record.ts'
import { tagCollection } from '../../protocol/lexicon/tag-record.ts'
import { manifestMediaTypes } from '../../protocol/oci/media-types.ts'

/** What the AppView may write into somebody's data repo. */
export const ownCollections = [
  manifestCollection,
  tagCollection,
  sailorProfileCollection,
  starCollection,
  repoPageCollection,
]

/** The same in the order in which they can go without one that is left naming one that is gone. */
export const deletableCollections: readonly string[] = [
  tagCollection,
  starCollection,
  repoPageCollection,
  manifestCollection,
  sailorProfileCollection,
]

/** What it may upload there: manifests byte for byte, and avatars of repositories. */
const blobTypes = [...Object.values(manifestMediaTypes), 'image/png', 'image/jpeg', 'image/webp']

/**
 * What it may ask of a hold as that person. Holds are anybody's and not known beforehand, hence each method with any
 * audience (a wildcard for both is not to be had).
 */
const holdMethods = [
  'com.atproto.sync.getBlob',
  'io.atcr.hold.abortUpload',
  'io.atcr.hold.completeUpload',
  'io.atcr.hold.deleteUserData',
  'io.atcr.hold.exportUserData',
  'io.atcr.hold.getPartUploadUrl',
  'io.atcr.hold.getUploadStatus',
  'io.atcr.hold.initiateUpload',
  'io.atcr.hold.notifyManifest',
  'io.atcr.hold.requestCrew',
]

/**
 * What people are asked to allow when they sign in: this and nothing else. Whoever signed in when less was asked for is
 * asked again. A scope that a server does not understand it drops without a word, so a test reads this as a PDS does.
 */
export const appViewScope = [
  'atproto',
  ...ownCollections.map((collection) => `repo:${collection}`),
  ...blobTypes.map((type) => `blob:${type}`),
  ...holdMethods.map((method) => `rpc:${method}?aud=*`),
].join(' ')
