import { counter, tally, watchedCounter, watchedGauge } from '../lib/metrics.ts'

export const uploads = counter({
  name: 'atcr_appview_uploads_total',
  help: 'Blob uploads that ended. Mode: relay (through here), direct (straight to the hold). Outcome: stored, failed.',
  labels: ['mode', 'outcome'],
})

export const uploadBytes = counter({
  name: 'atcr_appview_upload_bytes_total',
  help: 'Bytes of blobs that were stored, by the way they took.',
  labels: ['mode'],
})

export const uploadsActive = watchedGauge({
  name: 'atcr_appview_uploads_active',
  help: 'Requests that are relaying bytes of an upload at this moment.',
})

export const manifestPushes = counter({
  name: 'atcr_appview_manifest_pushes_total',
  help: 'Manifests that were registered in the data repos of their owners.',
})

export const pulls = tally({
  name: 'atcr_appview_pulls_total',
  help: 'GETs of content that were answered with it. How: manifest, redirect (307 to the hold), stream (through here).',
  labels: ['how'],
})

export const queueLength = watchedGauge({
  name: 'atcr_appview_queue_length',
  help: 'Work that waits in the database: what holds, webhooks and the search index are to be told, and what is to be deleted or read.',
  labels: ['queue'],
})

export const indexLag = watchedGauge({
  name: 'atcr_appview_index_lag_seconds',
  help: 'How old the last event of a source was when it was dealt with: what the index is behind.',
  labels: ['source'],
})

export const indexLastEvent = watchedGauge({
  name: 'atcr_appview_index_last_event_timestamp_seconds',
  help: 'When the last event of a source was dealt with.',
  labels: ['source'],
})

export const indexInterruptions = watchedCounter({
  name: 'atcr_appview_index_interruptions_total',
  help: 'Times a source of events broke off, or could not be dealt with, and was begun again.',
  labels: ['source'],
})

export const indexEvents = watchedCounter({
  name: 'atcr_appview_index_events_total',
  help: 'Events of interest by what became of them: applied, outdated (known already), malformed, failed.',
  labels: ['outcome'],
})

export const backfillRepos = watchedGauge({
  name: 'atcr_appview_backfill_repos',
  help: 'Data repos whose past is to be read, or was.',
  labels: ['state'],
})
