import { z } from 'zod'

import { duration, secret } from './config.ts'

/** `/metrics`: for the operator's Prometheus, not for strangers. */
export const metricsSettings = (defaultAddr: string) =>
  z
    .object({
      enabled: z.boolean().default(false).describe('Answer /metrics, for Prometheus.'),
      addr: z.string().default(defaultAddr).describe('Where: a listener of its own, because it is not for strangers. `127.0.0.1:…` is this machine only, `:…` every interface.'), // prettier-ignore
    })
    .prefault({})
    .describe('What can be graphed.')

export const logShipperSettings = z
  .object({
    backend: z.enum(['off', 'victoria', 'opensearch', 'loki']).default('off').describe('Send log lines to a log store as well: VictoriaLogs, OpenSearch (or what speaks its _bulk), or Loki. Standard output stays as it is.'), // prettier-ignore
    url: z.url({ protocol: /^https?$/ }).optional().describe('Where the store is: `http://logs:9428`. The path that takes lines is added when there is none.'), // prettier-ignore
    batch_size: z.int().min(1).max(10_000).default(500).describe('Lines in one request, at most.'),
    flush_interval: duration().prefault('2s').describe('How long a line waits for others, at most.'),
    username: z.string().optional().describe('For a store that asks who is there (HTTP Basic).'),
    password: secret().optional().describe('The same. With no username it is sent as a bearer token.'),
  })
  .superRefine(({ backend, url }, context) => {
    if (backend === 'off' || url !== undefined) return
    context.addIssue({
      code: 'custom',
      path: ['url'],
      message: `log_shipper.backend is ${backend}: say where that is`,
    })
  })
  .prefault({})
  .describe('Where the log goes beside standard output.')

export type LogShipperSettings = z.output<typeof logShipperSettings>

export const drainDelaySetting = duration()
  .prefault('0s')
  .describe('How long /ready answers 503 at a stop before connections are refused: as long as the load balancer takes to notice. 0s without one.') // prettier-ignore
