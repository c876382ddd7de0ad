import { counter, watchedGauge } from '../lib/metrics.ts'

export const uploads = counter({
  name: 'atcr_hold_uploads_total',
  help: 'Uploads that ended. Mode: relay (by an AppView), direct. Outcome: stored, discarded.',
  labels: ['mode', 'outcome'],
})

export const uploadBytes = counter({
  name: 'atcr_hold_upload_bytes_total',
  help: 'Bytes of blobs that were stored.',
  labels: ['mode'],
})

export const uploadsOpen = watchedGauge({
  name: 'atcr_hold_uploads_open',
  help: 'Uploads that were begun and have not ended.',
  labels: ['mode'],
})

export const presignedUrls = counter({
  name: 'atcr_hold_presigned_urls_total',
  help: 'Presigned URLs that were handed out: read (of a blob), part (of a relayed upload).',
  labels: ['what'],
})

export const manifestNotices = counter({
  name: 'atcr_hold_manifest_notices_total',
  help: 'What AppViews told of manifests.',
  labels: ['operation'],
})

export const blobCount = watchedGauge({
  name: 'atcr_hold_blobs',
  help: 'Blobs that are kept.',
})

export const blobBytes = watchedGauge({
  name: 'atcr_hold_blob_bytes',
  help: 'Bytes of the blobs that are kept.',
})

export const storageFreeBytes = watchedGauge({
  name: 'atcr_hold_storage_free_bytes',
  help: 'Room that is left where blobs are kept, on a disk.',
})

export const blobsUnsettled = watchedGauge({
  name: 'atcr_hold_blobs_unsettled',
  help: 'Blobs that are served from where they were uploaded, and wait to be copied to where they belong.',
})

export const repoSequence = watchedGauge({
  name: 'atcr_hold_repo_sequence',
  help: 'Sequence number of the newest event of the data repo.',
})

export const repoCommits = counter({
  name: 'atcr_hold_repo_commits_total',
  help: 'Commits to the data repo.',
})

export const firehoseSubscribers = watchedGauge({
  name: 'atcr_hold_firehose_subscribers',
  help: 'Open subscriptions to the events of the data repo.',
})

export const firehoseLag = watchedGauge({
  name: 'atcr_hold_firehose_lag_events',
  help: 'Events that the slowest subscriber has not been sent.',
})

export const gcRuns = counter({
  name: 'atcr_hold_gc_runs_total',
  help: 'Runs of garbage collection that ended, dry ones apart. Outcome: done, failed.',
  labels: ['outcome'],
})

export const gcDeletedBlobs = counter({
  name: 'atcr_hold_gc_deleted_blobs_total',
  help: 'Blobs that garbage collection deleted.',
})

export const gcDeletedBytes = counter({
  name: 'atcr_hold_gc_deleted_bytes_total',
  help: 'Bytes that garbage collection deleted.',
})

export const gcLastDone = watchedGauge({
  name: 'atcr_hold_gc_last_success_timestamp_seconds',
  help: 'When the last run of garbage collection was done; absent when there was none.',
})

export const jobFailures = counter({
  name: 'atcr_hold_job_failures_total',
  help: 'Runs of jobs that failed, by job.',
  labels: ['job'],
})
