import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

import { expect, test } from 'vitest'

import { findSecrets } from '../scripts/secret-patterns.ts'

/** Goal: no secret is in this repository, nor ever was. Method: files and history by patterns, which are tried first. */

// Made up, and with a dot in each, so that no scanner takes this file for a leak.
const random = 'q7Zk2Lw9Xb4Nf8Tc1Vd6Hs3Rg5Jm0PyAe'
const planted: [what: string, line: string][] = [
  ['a PEM key', `-----BEGIN P·RIVATE KEY-----`],
  ['an RSA key in a string', `const key = '-----BEGIN RSA P·RIVATE KEY-----\\nMIIEpAIBAAKCAQEA${random}'`],
  ['an OpenSSH key', `-----BEGIN OPENSSH P·RIVATE KEY-----`],
  ['AWS', `aws_access_key_id = A·KIAIOSFODNN7EXAMPLQ`],
  ['GitHub', `token: g·hp_${random}ABCD`],
  ['GitLab', `g·lpat-${random.slice(0, 20)}`],
  ['npm', `//registry.npmjs.org/:_authToken=n·pm_${(random + random).slice(0, 36)}`],
  ['Docker Hub', `d·ckr_pat_${random.slice(0, 27)}`],
  ['Slack', `x·oxb-123456789012-${random.slice(0, 24)}`],
  ['a webhook', `https://hooks.slack.com/s·ervices/T0123ABCD/B0123ABCD/${random.slice(0, 24)}`],
  ['Google', `A·Iza${(random + random).slice(0, 35)}`],
  ['Stripe', `s·k_live_${random}`],
  ['a JWT', `e·yJhbGciOiJIUzI1NiJ9.e·yJzdWIiOiIxMjM0In0.${random}`],
  ['a password in a URL', `redis_url: rediss://atcr:${random.slice(0, 16)}@cache.example:6379`],
  ['a password', `ADMIN_PASSWORD="${random}"`],
  ['a token in JSON', `{"access_token": "${random}"}`],
]

test.each(planted)('%s would be seen', (_, dotted) => {
  const line = dotted.replaceAll('·', '')
  expect(findSecrets(line)).not.toEqual([])
  expect(findSecrets(`+    ${line}   `)).not.toEqual([])
})

test('what only looks like one is not', () => {
  for (const line of [
    'password: alice-password',
    'const token = await tokens.mint({ did, access })',
    'postgres://user:password@db.example/atcr',
    'redis://:secret@127.0.0.1:6379',
    `digest = "sha256:${'0123456789abcdef'.repeat(4)}"`,
    'secret: z.string().min(32)',
    'integrity: sha512-abc',
  ])
    expect([line, findSecrets(line)]).toEqual([line, []])
})

test('none is in a file of this repository', () => {
  const names = execFileSync('git', ['ls-files', '-z'], { encoding: 'utf8' })
    .split('\0')
    .filter((name) => name !== '')
  expect(names.length).toBeGreaterThan(100)
  const found = names.flatMap((name) => {
    const bytes = readFileSync(name)
    // Pictures and archives.
    if (bytes.includes(0)) return []
    return bytes
      .toString('utf8')
      .split('\n')
      .flatMap((line, index) => findSecrets(line).map((what) => `${name}:${index + 1}: ${what}`))
  })
  expect(found).toEqual([])
}, 60_000)

test('nor in its history', { timeout: 300_000 }, async () => {
  const git = spawn('git', ['log', '-p', '-U0', '--no-renames', '--no-color', '--format=commit %h', 'HEAD'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let commit = ''
  let file = ''
  let count = 0
  const found: string[] = []
  for await (const line of createInterface({ input: git.stdout.setEncoding('latin1') })) {
    if (line.startsWith('commit ')) {
      commit = line
      count++
    } else if (line.startsWith('+++ ')) file = line.slice(4)
    else if (line.startsWith('+'))
      for (const what of findSecrets(line)) found.push(`${commit}, ${file}: ${what}`)
  }
  expect(count).toBeGreaterThan(0)
  expect(found).toEqual([])
})
