import { randomBytes } from 'node:crypto'

import { findJson, writeFileAtomic } from './files.ts'

/** A person of the dev network, with both ways to sign in. */
export interface Account {
  handle: string
  did: `did:${string}:${string}`
  password: string
  appPassword: string
}

const accountNames = ['alice', 'bob'] as const
export type AccountName = (typeof accountNames)[number]
export type Accounts = Record<AccountName, Account>

/** The accounts kept in `file`; those missing are created at the PDS. The file is for its owner's eyes only. */
export async function openAccounts({ file, pdsUrl }: { file: string; pdsUrl: string }): Promise<Accounts> {
  const kept = (await findJson<Partial<Accounts>>(file)) ?? {}
  for (const name of accountNames) {
    if (kept[name] !== undefined) continue
    kept[name] = await createAccount(pdsUrl, `${name}.test`)
    await writeFileAtomic(file, `${JSON.stringify(kept, null, 2)}\n`, 0o600)
  }
  return kept as Accounts
}

/** A new account at the PDS with an app password for clients. */
export async function createAccount(pdsUrl: string, handle: string): Promise<Account> {
  const password = `${handle.split('.')[0]}-${randomBytes(6).toString('hex')}`
  const email = `${handle.replaceAll('.', '-')}@example.test`
  const session = await call<{ did: Account['did']; accessJwt: string }>(
    pdsUrl,
    'com.atproto.server.createAccount',
    { handle, email, password },
  )
  const app = await call<{ password: string }>(
    pdsUrl,
    'com.atproto.server.createAppPassword',
    { name: 'atcr' },
    session.accessJwt,
  )
  return { handle, did: session.did, password, appPassword: app.password }
}

async function call<Output>(pdsUrl: string, method: string, input: object, token?: string): Promise<Output> {
  const response = await fetch(`${pdsUrl}/xrpc/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(input),
  })
  if (!response.ok) throw new Error(`${method} answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as Output
}
