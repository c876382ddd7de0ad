import type { Command } from 'commander'

import { systemNow } from '../../lib/clock.ts'
import { explain } from '../../lib/command-help.ts'
import { SettingsError } from '../../lib/config.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import { readIfThere } from '../../lib/whole-file.ts'
import { appViewPaths, type AppViewConfig } from '../config.ts'
import { listRetiredKeys, readRegistryKey, rotateRegistryKey } from '../services/key-files.ts'
import { keyId, keyOverlapSeconds, keyReadSeconds } from '../services/registry-keys.ts'

/** `key show`, `key rotate`: the key that signs registry tokens. */
export function addKeyCommands(command: Command, run: RunWithSettings<AppViewConfig>): void {
  const key = command.command('key').description('the key that signs registry tokens')
  explain(withConfigOption(key.command('show')), {
    summary: 'show the names of the keys whose tokens are accepted',
    description:
      'A name is what tokens carry as kid: the thumbprint of the public key (RFC 7638). Private keys are never shown. Works ' +
      'while the AppView runs.',
    examples: [['atcr-appview key show --config atcr-appview.yaml', 'see which key signs']],
  }).action((options: ConfigOption) => run(options, showKeys))
  explain(
    withConfigOption(key.command('rotate')).option('--compromised', 'do not accept the old key’s tokens any more'),
    {
      summary: 'replace the key that signs registry tokens',
      description:
        'Makes a new key and certificate, and keeps the old ones beside them under other names. The AppView may run, in ' +
        `several instances over the same folder: within ${keyReadSeconds} seconds each signs with the new key, and no client ` +
        `notices, because tokens of the old key are accepted for ${keyOverlapSeconds / 60} minutes more. With --compromised ` +
        'they are refused within two minutes instead; clients then fetch new ones by themselves. Instances with folders of ' +
        'their own need the new files copied to them.',
      examples: [
        ['atcr-appview key rotate --config atcr-appview.yaml', 'now and then'],
        ['atcr-appview key rotate --compromised --config atcr-appview.yaml', 'after the key may have been seen by others'],
      ],
    },
  ).action((options: ConfigOption & { compromised?: true }) =>
    run(options, (config) => rotateKey(config, options.compromised === true)),
  ) // prettier-ignore
}

async function showKeys(config: AppViewConfig): Promise<void> {
  const path = await existingKey(config)
  const overlapMs = keyOverlapSeconds * 1000
  const lines = [`${keyId(await readRegistryKey(path))}  signs  ${path}`]
  for (const retired of await listRetiredKeys(path, new Date(systemNow().getTime() - overlapMs))) {
    const until = new Date(retired.retiredAt.getTime() + overlapMs).toISOString()
    lines.push(`${keyId(retired.key)}  accepted until ${until}  ${retired.path}`)
  }
  process.stdout.write(`${lines.join('\n')}\n`)
}

async function rotateKey(config: AppViewConfig, isCompromised: boolean): Promise<void> {
  await existingKey(config)
  const { registryKey, registryCertificate } = pathsOf(config)
  const commonName = new URL(config.server.base_url).host
  const { key, oldPath } = await rotateRegistryKey(
    { key: registryKey, certificate: registryCertificate },
    { commonName, now: systemNow(), isCompromised },
  )
  const later = `Tokens of the old key are accepted for ${keyOverlapSeconds / 60} minutes more; then ${oldPath} can be deleted.`
  process.stdout.write(
    `Registry tokens are signed with ${keyId(key)} within ${keyReadSeconds} seconds.\n` +
      `${isCompromised ? `The old key is no longer accepted; it is kept as ${oldPath}.` : later}\n`,
  )
}

async function existingKey(config: AppViewConfig): Promise<string> {
  const path = pathsOf(config).registryKey
  if ((await readIfThere(path)) !== undefined) return path
  throw new SettingsError([`there is no ${path} yet: \`atcr-appview serve\` makes it`])
}

function pathsOf(config: AppViewConfig) {
  return appViewPaths(config, process.getuid?.() === 0)
}
