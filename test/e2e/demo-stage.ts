import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Browser } from 'playwright-core'

import { SimulatedClock, simulated } from '../network/demo/clock.ts'
import { openDemo, type Demo } from '../network/demo/seed.ts'
import type { Ports } from '../network/infrastructure.ts'
import { OciClient } from '../network/oci-client.ts'
import { TestNetwork } from '../network/test-network.ts'
import { openPage } from './browser.ts'
import { pagesFixture } from './pages-fixture.ts'
import { openSignedIn } from './people.ts'

/** The demo network with what it takes to look at its pages. Closed with `await using`. */
export class DemoStage implements AsyncDisposable {
  readonly network: TestNetwork
  readonly demo: Demo
  /** Pages without a network, where one of them fails. */
  readonly failing: Awaited<ReturnType<typeof pagesFixture>>
  readonly #stack: AsyncDisposableStack

  /** `kept` has the demo already, or gets it and keeps it. */
  static async open(
    options: {
      kept?: { folder: string; ports: Partial<Ports> }
      progress?: (step: string, detail: string) => void
    } = {},
  ): Promise<DemoStage> {
    await using stack = new AsyncDisposableStack()
    const { progress = () => undefined } = options
    const folder = options.kept?.folder ?? (await mkdtemp(join(tmpdir(), 'atcr-stage-')))
    if (options.kept === undefined) stack.defer(() => rm(folder, { recursive: true, force: true }))
    const clock = new SimulatedClock()
    const ports = options.kept?.ports ?? {}
    const network = stack.use(
      await TestNetwork.create({ dataDir: folder, ports, uploadMode: 'auto', progress, ...simulated(clock) }),
    )
    const demo = stack.use(await openDemo(network, { clock, folder, progress }))
    const failing = stack.use(await pagesFixture({ isEmpty: true }))
    return new DemoStage({ network, demo, failing }, stack.move())
  }

  private constructor(parts: Pick<DemoStage, 'network' | 'demo' | 'failing'>, stack: AsyncDisposableStack) {
    this.network = parts.network
    this.demo = parts.demo
    this.failing = parts.failing
    this.#stack = stack
  }

  /** A browser page, of somebody who is signed in unless `name` is undefined. */
  async openAs(
    browser: Browser,
    name: string | undefined,
    options: Parameters<Browser['newContext']>[0] = {},
  ): ReturnType<typeof openPage> {
    if (name === undefined) return openPage(browser, options)
    const account = this.demo.accounts.get(name)
    if (account === undefined) throw new Error(`nobody in the demo is called ${name}`)
    return openSignedIn(browser, this.network, account, options)
  }

  /** What a tag names just now. */
  async digestOf(repository: string, reference: string): Promise<string> {
    const client = new OciClient({ registryUrl: this.network.appview.url })
    return (await client.pullManifest(repository, reference)).digest
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}
