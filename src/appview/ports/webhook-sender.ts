/** What came of telling a webhook. */
export type WebhookAnswer =
  | { isAnswered: true; status: number; text: string; retryAfterSeconds?: number | undefined }
  /** In words for its owner. */
  | { isAnswered: false; reason: string }

/** Telling a server that somebody named. */
export interface WebhookSender {
  /** POSTs once. Never throws for what the server does; rejects only when `signal` is aborted. */
  send(
    request: { url: string; body: string; headers: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<WebhookAnswer>
}
