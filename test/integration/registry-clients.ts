import { join } from 'node:path'

import { appViewConfig } from '../../src/appview/config.ts'
import type { AppViewOverrides } from '../../src/appview/context.ts'
import { startAppView, type RunningAppView } from '../../src/appview/start.ts'
import type { AccountName } from '../network/accounts.ts'
import { findFreePort } from '../network/listening.ts'
import { OciClient } from '../network/oci-client.ts'
import type { TestNetwork } from '../network/test-network.ts'

/** A client of one of the accounts, or of nobody. */
export function client(
  network: TestNetwork,
  name?: AccountName,
  registryUrl = network.appview.url,
): OciClient {
  if (name === undefined) return new OciClient({ registryUrl })
  const { handle, appPassword } = network.accounts[name]
  return new OciClient({ registryUrl, username: handle, password: appPassword })
}

export const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())

/** The first error of an answer in the registry's form. */
export async function registryError(
  response: Response,
): Promise<{ code: string; message: string } | undefined> {
  const body = (await response.json()) as { errors: { code: string; message: string }[] }
  return body.errors[0]
}

export async function errorCode(response: Response): Promise<string | undefined> {
  return (await registryError(response))?.code
}

/** An AppView beside the network's own, with an index of its own that no events feed. */
export async function startSecondAppView(
  network: TestNetwork,
  overrides: AppViewOverrides = {},
): Promise<RunningAppView> {
  const { server, identity } = network.appview.context.config
  const port = await findFreePort()
  const config = appViewConfig({
    server: {
      ...server,
      addr: `127.0.0.1:${port}`,
      base_url: `http://127.0.0.1:${port}`,
      data_folder: join(server.data_folder ?? '', `second-${port}`),
    },
    identity,
    jetstream: { urls: [] },
  })
  return startAppView(config, overrides)
}
