import { systemNow, type Now } from '../../../src/lib/clock.ts'

/**
 * A clock that can be set back and then runs on at its usual pace. While the demo is made, the AppView goes by it, so
 * that what it writes (manifests, tags, how they moved) is as old as it says.
 */
export class SimulatedClock {
  #offsetMs = 0
  readonly #machine: Now

  constructor(machine: Now = systemNow) {
    this.#machine = machine
  }

  readonly now: Now = () => new Date(this.#machine().getTime() + this.#offsetMs)

  /** It is now so long ago. */
  goBack(ms: number): void {
    this.#offsetMs = -ms
  }
}

/**
 * The network's options by which its AppView goes by this clock. Everything else goes by the machine's: the PDS knows no
 * other, and holds check its tokens. So what holds write (layers, crew, counters) is as new as it is.
 */
export const simulated = (clock: SimulatedClock) => ({
  now: clock.now,
  holdNow: systemNow,
  callsNow: systemNow,
})
