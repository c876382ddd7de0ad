import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { WebhookSenderClient } from '../../src/appview/clients/webhook-sender.ts'
import { webhookSignature } from '../../src/appview/jobs/webhook-deliveries.ts'
import { sleep } from '../../src/lib/clock.ts'
import { findFreePort } from '../network/listening.ts'

/** Goal: who copies an example out of the document has a server that takes our messages, and no others. */

const text = readFileSync('docs/using/webhooks.md', 'utf8')
const blocks = (language: string) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(
    (match) => match[1] as string,
  )
const [pushBody = ''] = blocks('json')
const secret = 'atcrwh_a-secret-of-an-example'

let folder: string
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'atcr-webhook-examples-'))))
afterAll(() => rm(folder, { recursive: true }))

test.each([
  { language: 'js', command: process.execPath, file: 'server.mjs' },
  { language: 'python', command: 'python3', file: 'server.py' },
])('the example in $language', async ({ command, file, language }) => {
  const examples = blocks(language)
  expect(examples).toHaveLength(1)
  await writeFile(join(folder, file), examples[0] ?? '')
  const port = await findFreePort()
  const env = { ...process.env, PORT: String(port), WEBHOOK_SECRET: secret, PYTHONUNBUFFERED: '1' }
  const server = spawn(command, [join(folder, file)], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise((resolve) => server.once('close', resolve))
  let printed = ''
  server.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  server.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  try {
    const send = async (body: string, signature: string | undefined) => {
      const headers: Record<string, string> =
        signature === undefined ? {} : { 'x-atcr-signature-256': signature }
      const request = { url: `http://127.0.0.1:${port}/`, body, headers }
      const answer = await new WebhookSenderClient({ fetch }).send(request, AbortSignal.timeout(30_000))
      return answer.isAnswered ? answer.status : undefined
    }
    // Until it listens.
    while ((await send(pushBody, undefined)) === undefined && server.exitCode === null) await sleep(50)
    expect(await send(pushBody, webhookSignature(secret, pushBody)), printed).toBe(204)
    expect(await send(pushBody, undefined)).toBe(401)
    expect(await send(`${pushBody} `, webhookSignature(secret, pushBody))).toBe(401)
    expect(await send(pushBody, webhookSignature('another secret', pushBody))).toBe(401)
    expect(printed).toMatch(/^push:? alice\.example\.com\/app$/m)
  } finally {
    server.kill()
    await ended
  }
})

test('the bodies in the document are JSON with the fields that are sent', () => {
  const bodies = blocks('json').map((body) => JSON.parse(body) as Record<string, object>)
  expect(bodies.map((body) => Object.keys(body))).toEqual([
    ['trigger', 'push_data', 'repository', 'hold'],
    ['trigger', 'scan_data', 'repository', 'hold'],
  ])
  expect(Object.keys(bodies[0]?.['push_data'] ?? {})).toEqual(['pushed_at', 'pusher', 'pusher_did', 'tag', 'digest']) // prettier-ignore
})
