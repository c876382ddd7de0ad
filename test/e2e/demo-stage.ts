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
import { sessionCookie } from './people.ts'

/** The demo network with what it takes to look at its pages. Closed with `await using`. */
export class DemoStage implements AsyncDisposable {
  readonly network: TestNetwork
  readonly demo: Demo
  readonly folder: string
  readonly clock: SimulatedClock
  /** Pages without a network, where one of them fails. */
  readonly failing: Awaited<ReturnType<typeof pagesFixture>>
  readonly #stack: AsyncDisposableStack
  /** Everybody signs in once, so that their list of browsers stays a short one. */
  readonly #cookies = new Map<string, ReturnType<typeof sessionCookie>>()

  /** `kept` has the demo already, or gets it and keeps it. */
  static async open(
    options: {
      kept?: { folder: string; ports: Partial<Ports> }
      progress?: (step: string, detail: string) => unknown
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
    // What waits to be written or asked would change pages between two looks at them.
    await network.appview.context.holdHealth.checkDue()
    await network.appview.context.pullDays.flush()
    const failing = stack.use(await pagesFixture({ isEmpty: true }))
    return new DemoStage({ network, demo, failing, folder, clock }, stack.move())
  }

  private constructor(
    parts: Pick<DemoStage, 'network' | 'demo' | 'failing' | 'folder' | 'clock'>,
    stack: AsyncDisposableStack,
  ) {
    this.network = parts.network
    this.demo = parts.demo
    this.folder = parts.folder
    this.clock = parts.clock
    this.failing = parts.failing
    this.#stack = stack
  }

  /** A browser page, of somebody who is signed in unless `name` is undefined. */
  async openAs(
    browser: Browser,
    name: string | undefined,
    options: Parameters<Browser['newContext']>[0] = {},
  ): ReturnType<typeof openPage> {
    const opened = await openPage(browser, options)
    if (name === undefined) return opened
    const account = this.demo.accounts.get(name)
    if (account === undefined) throw new Error(`nobody in the demo is called ${name}`)
    const cookie = this.#cookies.get(name) ?? sessionCookie(this.network, account)
    this.#cookies.set(name, cookie)
    await opened.page.context().addCookies([await cookie])
    return opened
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
