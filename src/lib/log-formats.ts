import { systemNow } from './clock.ts'

/** Who wrote the lines of a batch. */
export interface LogOrigin {
  /** `atcr-hold` */
  service: string
  host: string
}

/** What a log store made of a batch. Lines are named by their place in it. */
export interface BatchAnswer {
  /** To be sent again. */
  busy: number[]
  /** Never to be taken. */
  refused: number[]
  /** Why the first of them was not taken. */
  reason?: string
}

/** How a log store takes lines. Lines are JSON objects as the log has them, each without its line break. */
export interface LogFormat {
  /** Where lines are taken, unless the settings name a path. */
  path: string
  contentType: string
  encode: (lines: readonly string[], origin: LogOrigin) => string
  /** What a 2xx answer says of single lines. */
  readAnswer: (body: string, lineCount: number) => BatchAnswer
}

const allTaken = (): BatchAnswer => ({ busy: [], refused: [] })

/** The line with more in front; what the line says itself counts. */
const withFields = (line: string, fields: object) => `${JSON.stringify(fields).slice(0, -1)},${line.slice(1)}`

/** The two things of a line that stores sort by. */
function headOf(line: string): { time: string; level: string } {
  const { time, level } = JSON.parse(line) as { time?: unknown; level?: unknown }
  return {
    time: typeof time === 'string' ? time : systemNow().toISOString(),
    level: typeof level === 'string' ? level : 'info',
  }
}

/** https://docs.victoriametrics.com/victorialogs/data-ingestion/#json-stream-api */
const victoria: LogFormat = {
  path: '/insert/jsonline?_stream_fields=service,host,level&_time_field=time&_msg_field=msg',
  contentType: 'application/stream+json',
  encode: (lines, origin) => lines.map((line) => `${withFields(line, origin)}\n`).join(''),
  readAnswer: allTaken,
}

/**
 * https://docs.opensearch.org/latest/api-reference/document-apis/bulk/: the answer is 200 also when lines were refused, and
 * says which.
 */
const opensearch: LogFormat = {
  path: '/atcr-logs/_bulk',
  contentType: 'application/x-ndjson',
  encode: (lines, origin) =>
    lines
      .map((line) => `{"create":{}}\n${withFields(line, { '@timestamp': headOf(line).time, ...origin })}\n`)
      .join(''),
  readAnswer: readBulkAnswer,
}

/** https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs: streams by labels, of which there must be few. */
const loki: LogFormat = {
  path: '/loki/api/v1/push',
  contentType: 'application/json',
  encode: (lines, origin) => {
    const heads = lines.map((line) => ({ line, ...headOf(line) }))
    const streams = [...Map.groupBy(heads, ({ level }) => level)].map(([level, values]) => ({
      stream: { ...origin, level },
      values: values.map(({ line, time }) => [`${Date.parse(time)}000000`, line]),
    }))
    return JSON.stringify({ streams })
  },
  readAnswer: allTaken,
}

export const logFormats = { victoria, opensearch, loki } as const

interface BulkItem {
  status?: number
  error?: { type?: string; reason?: string }
}

function readBulkAnswer(body: string, lineCount: number): BatchAnswer {
  const answer = JSON.parse(body) as { errors?: boolean; items?: Record<string, BulkItem>[] }
  if (answer.errors !== true) return allTaken()
  const items = (answer.items ?? []).map((item) => Object.values(item)[0] ?? {})
  if (items.length !== lineCount) throw new Error(`the answer is about ${items.length} lines of ${lineCount}`)
  const placesOf = (isMeant: (status: number) => boolean) =>
    items.flatMap(({ status = 0 }, place) => (isMeant(status) ? [place] : []))
  const first = items.find(({ status = 0 }) => status >= 300)
  return {
    busy: placesOf((status) => status === 429 || status >= 500),
    refused: placesOf((status) => status >= 300 && status < 500 && status !== 429),
    reason: `${first?.error?.type ?? first?.status}: ${first?.error?.reason ?? ''}`,
  }
}
