import type { Did } from '../../atproto/syntax.ts'
import { shortDigest } from '../../lib/format.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { WebhookForm } from '../db/schema.ts'
import type { WebhookTrigger } from './webhook-triggers.ts'

/** What every message says of the repository, in the words that are sent. */
export interface RepositoryFacts {
  repository: {
    name: string
    /** Handle of the owner; the DID while it is not known. */
    namespace: string
    repo_name: string
    repo_url: string
    media_type: string | null
    star_count: number
    pull_count: number
  }
  hold: { did: Did; endpoint: string | null } | null
}

export interface PushMessage extends RepositoryFacts {
  trigger: 'push' | 'test'
  push_data: { pushed_at: string; pusher: string; pusher_did: Did; tag: string; digest: Digest }
}

/** How many findings of each severity. */
export interface ScanCounts {
  critical: number
  high: number
  medium: number
  low: number
  total: number
}

export interface ScanMessage extends RepositoryFacts {
  trigger: Exclude<WebhookTrigger, 'push'>
  scan_data: ScanCounts & {
    scanned_at: string
    scanner_version: string
    digest: Digest
    tags: string[]
    /** What was found the time before. */
    previous: ScanCounts | null
  }
}

export type WebhookMessage = PushMessage | ScanMessage

/** The body that is sent, byte by byte: what is signed, and shown in the log. */
export function webhookBody(message: WebhookMessage, form: WebhookForm): string {
  return JSON.stringify(form === 'json' ? message : chatBodies[form](lineOf(message)))
}

/** What a chat shows: a headline that leads to a page, one sentence, and a few facts. */
interface ChatLine {
  name: string
  url: string
  sentence: string
  facts: [name: string, value: string][]
  at: string
  isBad: boolean
}

function lineOf(message: WebhookMessage): ChatLine {
  const { repository, hold } = message
  const ofHold: [string, string][] = hold === null ? [] : [['Hold', hold.did]]
  if ('push_data' in message) {
    const { digest, pushed_at, pusher, tag } = message.push_data
    return {
      name: `${repository.repo_name}:${tag}`,
      url: `${repository.repo_url}/tags/${tag}`,
      sentence: message.trigger === 'test' ? 'A test: nothing was pushed.' : `${pusher} pushed it.`,
      facts: [['Digest', shortDigest(digest)], ...ofHold],
      at: pushed_at,
      isBad: false,
    }
  }
  const { scan_data: scan } = message
  return {
    name: `${repository.repo_name}${scan.tags[0] === undefined ? '' : `:${scan.tags[0]}`}`,
    url: `${repository.repo_url}/manifests/${scan.digest}`,
    sentence: scan.total === 0 ? 'A scan found nothing.' : `A scan found ${countsOf(scan)}.`,
    facts: [
      ['Digest', shortDigest(scan.digest)],
      ...(scan.previous === null ? [] : ([['Before', countsOf(scan.previous)]] as [string, string][])),
      ...ofHold,
    ],
    at: scan.scanned_at,
    isBad: scan.critical + scan.high > 0,
  }
}

function countsOf(counts: ScanCounts): string {
  const { critical, high, medium, low } = counts
  return `${critical} critical, ${high} high, ${medium} medium, ${low} low`
}

const goodColor = 0x2f_9e_6e
const badColor = 0xd1_43_43
/** Discord's limits. */
const titleLengthMax = 256

const chatBodies: Record<Exclude<WebhookForm, 'json'>, (line: ChatLine) => object> = {
  slack: ({ name, url, sentence, facts }) => ({
    text: slackText(`${name}: ${sentence}`),
    unfurl_links: false,
    blocks: [
      {
        type: 'section',
        text: { type: 'mrkdwn', text: `*<${url}|${slackText(name)}>*\n${slackText(sentence)}` },
      },
      {
        type: 'context',
        elements: facts.map(([fact, value]) => ({ type: 'mrkdwn', text: `${fact}: ${slackText(value)}` })),
      },
    ],
  }),
  discord: ({ name, url, sentence, facts, at, isBad }) => ({
    // Whatever a name contains, nobody is called by it.
    allowed_mentions: { parse: [] },
    embeds: [
      {
        title: discordText(name).slice(0, titleLengthMax),
        url,
        description: discordText(sentence),
        color: isBad ? badColor : goodColor,
        timestamp: at,
        fields: facts.map(([fact, value]) => ({ name: fact, value: `\`${value}\``, inline: true })),
      },
    ],
  }),
}

/** Slack's three characters of markup: https://docs.slack.dev/messaging/formatting-message-text#escaping */
function slackText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Discord's Markdown, so that `my_app_1` keeps its underscores. */
function discordText(text: string): string {
  return text.replaceAll(/[\\*_~`|>[\]()#]/g, String.raw`\$&`)
}
