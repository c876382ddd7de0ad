/** What a webhook can be told of, as bits. */
export const webhookTriggers = {
  'scan:first': 1,
  'scan:all': 2,
  'scan:changed': 4,
  push: 8,
} as const

export type WebhookTrigger = keyof typeof webhookTriggers

export const webhookTriggerNames = Object.keys(webhookTriggers) as WebhookTrigger[]

/** The bits of triggers by name; undefined when one is none, or there is none at all. */
export function triggerBits(names: readonly string[]): number | undefined {
  let bits = 0
  for (const name of names) {
    if (!Object.hasOwn(webhookTriggers, name)) return undefined
    bits |= webhookTriggers[name as WebhookTrigger]
  }
  return bits === 0 ? undefined : bits
}

/** The names of bits. */
export function triggersOf(bits: number): WebhookTrigger[] {
  return webhookTriggerNames.filter((name) => (bits & webhookTriggers[name]) !== 0)
}
