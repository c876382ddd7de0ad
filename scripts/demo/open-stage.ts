import { DemoStage } from '../../test/e2e/demo-stage.ts'
import { partNames, type Ports } from '../../test/network/infrastructure.ts'

const text = { type: 'string' } as const
/** Options of all scripts that look at the demo, as `parseArgs` wants them. */
export const stageOptions = { data: text, 'port-base': text, only: text, help: { type: 'boolean' } } as const

export const stageHelp = `  --only TEXT      pages whose name has this in it
  --data DIR       a dev network that has the demo and is not running; without it one is made and thrown away
  --port-base N    the ports of that network, as it was started with
`

/** The demo, told by the script's options. */
export function openStage(values: { data?: string; 'port-base'?: string }): Promise<DemoStage> {
  const { data: folder, 'port-base': base } = values
  return DemoStage.open({
    progress: (step, detail) => process.stdout.write(`  ${step.padEnd(16)}${detail}\n`),
    ...(folder !== undefined && { kept: { folder, ports: portsFrom(base) } }),
  })
}

function portsFrom(base: string | undefined): Partial<Ports> {
  if (base === undefined) return {}
  return Object.fromEntries(partNames.map((name, index) => [name, Number(base) + index]))
}
