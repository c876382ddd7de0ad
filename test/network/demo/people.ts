/** Somebody of the demo. `alice` and `bob` are there without it; the others get accounts of their own. */
export interface Person {
  /** The handle is `<name>.test`. */
  name: string
  displayName: string
  bio: string
  /** Without one, pages show what they show of people without a picture. */
  hasAvatar: boolean
  /** The name of one of the demo's holds that new pushes go to; else the first hold. */
  hold?: 'reef' | 'vault'
}

export const people: readonly Person[] = [
  { name: 'alice', displayName: 'Alice Ferro', hasAvatar: true, bio: 'Runs the first hold of this network, and the coffee machine beside it. The coffee machine has better uptime.' },
  { name: 'bob', displayName: 'Bob Lindqvist', hasAvatar: true, bio: 'Schedulers and queues. Will answer later.' },
  { name: 'mira', displayName: 'Mira Okonkwo', hasAvatar: true, hold: 'reef', bio: 'Base images: small, signed, dull. Dull is the feature.' },
  { name: 'tomasz', displayName: 'Tomasz Wrona', hasAvatar: true, bio: 'Backups. Has restored one, so they count.' },
  { name: 'yuki', displayName: 'Yuki Tanabe', hasAvatar: true, hold: 'reef', bio: 'WebAssembly in places that did not ask for it.' },
  { name: 'priya', displayName: 'Priya Raman', hasAvatar: true, bio: 'Small models that fit on a train ride. Listens to whales for a living.' },
  { name: 'noor', displayName: 'Noor Haddad', hasAvatar: true, bio: 'Charts, in the Helm sense. Gets seasick in the other.' },
  { name: 'oskar', displayName: 'Oskar Blom', hasAvatar: true, bio: 'If it moves, graph it. If it does not move, alert.' },
  { name: 'ines', displayName: 'Inês Duarte', hasAvatar: true, bio: 'Games for people who wait for builds.' },
  { name: 'wren', displayName: 'Wren Abara', hasAvatar: true, bio: 'Reads software bills of materials, aloud, at parties.' },
  { name: 'harbour', displayName: 'Harbour Tools', hasAvatar: true, hold: 'reef', bio: 'Command line tools for people who keep other people’s ships afloat.' },
  { name: 'ledger', displayName: 'Ledger & Daughters', hasAvatar: true, hold: 'vault', bio: 'Accounting since 2019. Nothing to see here, by design.' },
  { name: 'jun', displayName: 'Jun', hasAvatar: false, bio: 'Pushes nothing, stars everything.' },
] // prettier-ignore
