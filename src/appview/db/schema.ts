import type { Generated, Kysely } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'

/**
 * The AppView's tables. One word for both dialects: digests, DIDs and times are text (times ISO 8601 in UTC, so
 * that they sort as text), JSON is text, flags are 0 or 1, sizes are whole numbers below 2^53.
 *
 * Rows of the first group follow from records and can be rebuilt by replaying them; the second group is ours alone.
 */
export interface AppViewTables {
  record_revs: RecordRevsTable
  repo_revs: RepoRevsTable
  identities: IdentitiesTable
  repositories: RepositoriesTable
  manifests: ManifestsTable
  manifest_repositories: ManifestRepositoriesTable
  manifest_links: ManifestLinksTable
  tags: TagsTable
  sailor_profiles: SailorProfilesTable
  stars: StarsTable
  repo_pages: RepoPagesTable
  holds: HoldsTable
  hold_crew: HoldCrewTable
  tag_moves: TagMovesTable
  hold_stats: HoldStatsTable
  scans: ScansTable
  actor_profiles: ActorProfilesTable

  blob_links: BlobLinksTable
  manifest_bytes: ManifestBytesTable
  uploads: UploadsTable
  upload_parts: UploadPartsTable
  app_password_sessions: AppPasswordSessionsTable
  hold_notifications: HoldNotificationsTable
  cursors: CursorsTable
  web_sessions: WebSessionsTable
  oauth_states: OAuthStatesTable
  oauth_sessions: OAuthSessionsTable
  leases: LeasesTable
  device_grants: DeviceGrantsTable
  devices: DevicesTable
  refresh_tokens: RefreshTokensTable
  former_handles: FormerHandlesTable
  untagged_manifests: UntaggedManifestsTable
  backfill_repos: BackfillReposTable
  hold_health: HoldHealthTable
  pull_days: PullDaysTable
  config_bytes: ConfigBytesTable
  webhooks: WebhooksTable
  webhook_deliveries: WebhookDeliveriesTable
  data_deletions: DataDeletionsTable

  search_changes: SearchChangesTable
  search_documents: SearchDocumentsTable
  search_words: SearchWordsTable
  search_trigrams: SearchTrigramsTable
}

/** The database or a transaction in it; every function in `db/` takes either. */
export type AppViewDb = Kysely<AppViewTables>

/** A repository as rows know it: by the owner's DID, so that handles may change. */
export interface RepositoryKey {
  ownerDid: Did
  name: string
}

/** 0 or 1: `node:sqlite` binds no booleans. */
export type Flag = 0 | 1

export const flag = (value: boolean): Flag => (value ? 1 : 0)

/** The newest commit seen to touch a record: the guard against replays, duplicates and late events. */
interface RecordRevsTable {
  did: Did
  collection: string
  rkey: string
  rev: string
  is_deleted: Flag
}

/** Up to which commit an account's whole data repo is accounted for, because it was read or because it was deleted. */
interface RepoRevsTable {
  did: Did
  read_rev: string | null
  forgotten_rev: string | null
}

interface IdentitiesTable {
  did: Did
  /** Verified in both directions when it was stored. */
  handle: string | null
  pds_url: string | null
  is_active: Flag
  /** When the handle was last checked, and when the account's state was last told: the two come by different ways. */
  handle_at: string
  active_at: string
}

interface RepositoriesTable {
  owner_did: Did
  name: string
  created_at: string
  updated_at: string
}

interface ManifestsTable {
  owner_did: Did
  digest: Digest
  media_type: string
  artifact_type: string | null
  subject_digest: Digest | null
  /** Of the manifest's own bytes; 0 where the record does not tell. */
  size_bytes: number
  hold_did: Did | null
  record_rkey: string
  blob_cid: string | null
  annotations: string | null
  created_at: string
}

interface ManifestRepositoriesTable {
  owner_did: Did
  repository: string
  digest: Digest
  created_at: string
}

export type ManifestLinkKind = 'config' | 'layer' | 'manifest'

interface ManifestLinksTable {
  owner_did: Did
  digest: Digest
  position: number
  kind: ManifestLinkKind
  target_digest: Digest
  media_type: string
  size_bytes: number
  platform: string | null
  annotations: string | null
  artifact_type: string | null
}

interface TagsTable {
  owner_did: Did
  repository: string
  tag: string
  record_rkey: string
  digest: Digest
  created_at: string
  updated_at: string
}

interface SailorProfilesTable {
  did: Did
  default_hold_did: Did | null
  auto_remove_untagged: Flag
  updated_at: string
}

interface StarsTable {
  sailor_did: Did
  rkey: string
  owner_did: Did
  repository: string
  created_at: string
}

interface RepoPagesTable {
  owner_did: Did
  rkey: string
  repository: string
  description: string | null
  avatar_cid: string | null
  updated_at: string
}

interface HoldsTable {
  did: Did
  url: string | null
  /** The captain. Null with the flags below until the hold's own captain record was seen. */
  owner_did: Did | null
  is_public: Flag | null
  allow_all_crew: Flag | null
  successor_did: Did | null
  region: string | null
  updated_at: string
}

interface HoldCrewTable {
  hold_did: Did
  rkey: string
  member_did: Did
  role: string
  permissions: string
  added_at: string
}

/**
 * What an upload or a mount linked into a repository, and (with `is_deleted`) what its owner took out of it again.
 * What a manifest record names is linked as well, without a row here: see `findBlobLink`.
 */
interface BlobLinksTable {
  owner_did: Did
  repository: string
  digest: Digest
  hold_did: Did
  size_bytes: number
  is_deleted: Flag
  created_at: string
}

interface ManifestBytesTable {
  digest: Digest
  media_type: string
  bytes: Uint8Array
  cached_at: string
}

export type UploadMode = 'relay' | 'direct'

interface UploadsTable {
  id: string
  account_did: Did
  owner_did: Did
  repository: string
  hold_did: Did
  hold_upload_id: string
  mode: UploadMode
  offset_bytes: number
  digest_algorithm: string
  /** Bytes at the end that are too few for a part of their own yet. */
  tail: Uint8Array | null
  /** Whether one request carried everything so far, so that the digest was computed on the way. */
  is_hash_whole: Flag
  created_at: string
  expires_at: string
}

interface UploadPartsTable {
  upload_id: string
  part_number: number
  etag: string
  size_bytes: number
}

/** What an app password was exchanged for at the account's PDS; of the password itself only a keyed hash rests here. */
interface AppPasswordSessionsTable {
  did: Did
  password_hash: string
  /** The tokens, encrypted and authenticated. */
  sealed: string
  /** When the PDS last said that the password is good. */
  proved_at: string
}

interface HoldNotificationsTable {
  id: string
  hold_did: Did
  account_did: Did
  payload: string
  attempts: number
  next_at: string
  created_at: string
}

interface CursorsTable {
  source: string
  cursor_micros: number
}

/** A browser that is signed in. Of its token only hashes rest here: of the newest, and of the one before. */
interface WebSessionsTable {
  id: string
  did: Did
  token_hash: string
  previous_hash: string | null
  /** What the tokens of its forms are made from; the same as long as the session lasts. */
  form_secret: string
  user_agent: string
  address: string
  created_at: string
  used_at: string
  rotated_at: string
  /** When the newest token first came back: from then on the one before is soon over. */
  confirmed_at: string | null
}

/** OAuth logins under way. */
interface OAuthStatesTable {
  state: string
  sealed: string
  expires_at: string
}

/** Tokens and DPoP keys for accounts' PDSes, sealed. */
interface OAuthSessionsTable {
  did: Did
  sealed: string
  updated_at: string
}

/** Locks among instances; one that is not given back ends by itself. */
interface LeasesTable {
  name: string
  holder: string
  expires_at_ms: number
}

export type DeviceGrantStatus = 'pending' | 'approved' | 'denied' | 'redeemed'

/** Pairings under way, and for a while those that are over; both codes are kept as hashes, the short one as a keyed one. */
interface DeviceGrantsTable {
  device_code_hash: string
  user_code_hash: string
  status: DeviceGrantStatus
  device_name: string
  user_agent: string
  address: string
  /** Who approved or denied. */
  did: Did | null
  interval_seconds: number
  polled_at: string | null
  created_at: string
  expires_at: string
}

/** Paired machines. */
interface DevicesTable {
  id: string
  did: Did
  /** The account's handle when the device was paired: what its credential store goes on to name. */
  handle: string | null
  name: string
  secret_hash: string
  created_at: string
  used_at: string | null
  used_address: string | null
}

/** What clients were given instead of a password; good as long as the device or app password behind it. */
interface RefreshTokensTable {
  token_hash: string
  did: Did
  device_id: string | null
  password_hash: string | null
  client_id: string
  created_at: string
  used_at: string
  expires_at: string
}

/**
 * What every commit seen made of a tag record, in whatever order they were seen; without a digest the record was
 * deleted, and which tag it stood for the commits before say. Which of them moved the tag is found out when they are read.
 */
interface TagMovesTable {
  owner_did: Did
  rkey: string
  rev: string
  repository: string | null
  tag: string | null
  digest: Digest | null
  moved_at: string
}

/** What a hold counted for a repository: its own word. */
interface HoldStatsTable {
  hold_did: Did
  rkey: string
  owner_did: Did
  repository: string
  pull_count: number
  push_count: number
  last_pull: string | null
  last_push: string | null
  updated_at: string
}

/** What a hold's scanner found in a manifest: the hold's own word. */
interface ScansTable {
  hold_did: Did
  rkey: string
  owner_did: Did
  digest: Digest
  repository: string
  critical: number
  high: number
  medium: number
  low: number
  total: number
  scanner_version: string
  scanned_at: string
  sbom_cid: string | null
  report_cid: string | null
}

/** How an account shows itself on the network, by its `app.bsky.actor.profile`. */
interface ActorProfilesTable {
  did: Did
  display_name: string | null
  description: string | null
  avatar_cid: string | null
  fetched_at: string
}

/** What tags have left of owners who want it removed; looked at when it is due. */
interface UntaggedManifestsTable {
  owner_did: Did
  digest: Digest
  due_at: string
  attempts: number
}

/** Handles that accounts had before: old links lead on. */
interface FormerHandlesTable {
  handle: string
  did: Did
  lost_at: string
}

export type BackfillStatus = 'waiting' | 'done' | 'failed'

/** Data repos whose past is to be read, or was. */
interface BackfillReposTable {
  did: Did
  status: BackfillStatus
  attempts: number
  next_at: string | null
  record_count: number
  updated_at: string
}

/** Whether a hold answered when it was last asked. */
interface HoldHealthTable {
  hold_did: Did
  is_up: Flag
  /** Why not, in words. */
  detail: string | null
  latency_ms: number | null
  checked_at: string
  /** Since when it has been as it is. */
  changed_at: string
}

/** Pulls through this AppView, by day (`2026-11-23`, UTC). */
interface PullDaysTable {
  owner_did: Did
  repository: string
  day: string
  pull_count: number
}

/** Image configs as everyone may read them from a public hold; of what another hold keeps, its readers are not told. */
interface ConfigBytesTable {
  hold_did: Did
  digest: Digest
  bytes: Uint8Array
  cached_at: string
}

/** In which words a webhook is told: ours, or those of a chat service. */
export type WebhookForm = 'json' | 'slack' | 'discord'

export interface WebhooksTable {
  id: string
  owner_did: Did
  /** URL and secret: the URLs of chat services are secrets themselves. */
  sealed: string
  /** Of the URL, to be shown, and to be polite to. */
  host: string
  form: WebhookForm
  /** Bits: scan:first 1, scan:all 2, scan:changed 4, push 8. */
  triggers: number
  /** Null: all repositories of the owner. */
  repository: string | null
  is_enabled: Flag
  /** Why it is not enabled, where that was not the owner's doing. */
  disabled_reason: string | null
  created_at: string
}

export type WebhookDeliveryStatus = 'waiting' | 'delivered' | 'failed'

/** What was or is to be told to a webhook. */
export interface WebhookDeliveriesTable {
  id: string
  webhook_id: string
  trigger: string
  /** The body, byte by byte as it is sent. */
  payload: string
  status: WebhookDeliveryStatus
  /** Those that were begun. */
  attempts: number
  /** When the next attempt is due; while one is under way, when it is held to be lost. Null when all is over. */
  next_at: string | null
  /** Of the last attempt that was answered. */
  response_status: number | null
  /** The beginning of that answer, or in our words why there was none. */
  response_text: string | null
  created_at: string
  finished_at: string | null
}

/** `repository`: did and name; `owner`: everything of the DID; `hold`: everything that rests in the DID. */
export type SearchChangeScope = 'repository' | 'owner' | 'hold'

/** What the search index does not know yet; written by triggers, in the transactions that change the rows. */
interface SearchChangesTable {
  id: Generated<number>
  scope: SearchChangeScope
  did: Did
  name: string
}

/** What can be found: repositories that everyone may see, and (without a name) the people who have some. */
interface SearchDocumentsTable {
  /** The greater, the better known: matches are read from the greatest on. */
  id: number
  owner_did: Did
  name: string
  /** The last component of the name. */
  base: string
  handle: string | null
  display_name: string | null
  kind: string
  /** With a space between. */
  platforms: string
  /** A hold that shows it. It is looked at whenever somebody searches. */
  hold_did: Did
  star_count: number
  pull_count: number
  updated_at: string
}

/** Words of names: what typing errors are compared with. */
interface SearchWordsTable {
  word: string
}

interface SearchTrigramsTable {
  trigram: string
  /** Of the word. */
  length: number
  word: string
}

/** `sweeping`: all is done, and what the network still sends about it is awaited. */
export type DataDeletionStatus = 'running' | 'sweeping' | 'done'

/** Deletions of all that is kept of an account, under way or over a short while ago. */
interface DataDeletionsTable {
  /** Not to be guessed: whoever knows it may see how the deletion goes. */
  id: string
  /** Null once it is over. */
  did: Did | null
  status: DataDeletionStatus
  /** Whether the records in the account's PDS go, and what the index has of them. */
  wants_records: Flag
  wants_index: Flag
  /** What came of asking each hold, as JSON. */
  holds: string
  records_status: 'waiting' | 'done' | 'failed'
  record_count: number
  records_reason: string | null
  /** Somebody signed in again meanwhile. */
  has_tokens_left: Flag
  attempts: number
  next_at: string
  created_at: string
  finished_at: string | null
}
