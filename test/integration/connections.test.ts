import { expect, test } from 'vitest'

import { measureConnections } from '../../scripts/bench/connection-load.ts'

/**
 * Goal: connections cost little, none is lost, and all are given back. Method: the load of `npm run bench:connections`, a
 * tenth of it, at real processes. Memory is bounded by far more than it needs: growth without end is what it would see.
 */
test(
  'idle and busy connections: no request fails, no socket stays, memory does not grow with them',
  { timeout: 300_000 },
  async () => {
    const idleCount = 200
    const figures = await measureConnections({ idleCount, activeCount: 20, requestCount: 1200 })
    expect(figures.map(({ program }) => program)).toEqual(['AppView', 'hold'])
    for (const { after, afterLoad, before, errors, program, requests, withIdle } of figures) {
      expect({ program, errors }).toEqual({ program, errors: [] })
      expect(requests).toBeGreaterThanOrEqual(1200)
      // Connections of the program's own, to holds and PDSes, may have come and gone.
      expect(withIdle.sockets).toBeGreaterThanOrEqual(idleCount)
      expect(before.sockets).toBeLessThan(idleCount / 2)
      expect({ program, sockets: after.sockets - before.sockets <= 5, all: after.all - before.all <= 5 }).toEqual({ program, sockets: true, all: true }) // prettier-ignore
      expect(withIdle.mebibytes - before.mebibytes).toBeLessThan(64)
      expect(afterLoad.mebibytes - before.mebibytes).toBeLessThan(192)
    }
  },
)
