/**
 * Names and ports of the world that programs on a {@link Machine} see. All names lead to one address. They count as
 * public (`home.arpa` is on the public suffix list) and are nobody's (RFC 8375), so that nothing has to be told to trust them.
 */
export const worldNames = {
  appview: 'registry.home.arpa',
  hold: 'hold.home.arpa',
  pds: 'pds.home.arpa',
  plc: 'plc.home.arpa',
  jetstream: 'jetstream.home.arpa',
} as const

/** Where the proxy finds what has no other port. */
export const worldPorts = { pds: 2583, plc: 2582, jetstream: 6008 } as const
