/** Gets ready for settings that are to come, and returns what takes them over. A throw refuses them all. */
type Preparation<Settings> = (next: Settings) => () => void

/** The settings a running program goes by, which may be replaced by others: as a whole or not at all. */
export class LiveSettings<Settings> {
  #current: Settings
  readonly #preparations: Preparation<Settings>[] = []

  constructor(settings: Settings) {
    this.#current = settings
  }

  get current(): Settings {
    return this.#current
  }

  /** For what is made of settings rather than read from them each time. Called now, and for every replacement. */
  watch(prepare: Preparation<Settings>): void {
    prepare(this.#current)()
    this.#preparations.push(prepare)
  }

  /** @throws what a preparation threw; then everything is as it was */
  replace(next: Settings): void {
    const takeOvers = this.#preparations.map((prepare) => prepare(next))
    this.#current = next
    for (const takeOver of takeOvers) takeOver()
  }
}
