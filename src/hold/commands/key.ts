import type { Command } from 'commander'

import { createOutboundFetch } from '../../atproto/outbound-fetch.ts'
import { PlcDirectory } from '../../atproto/plc-directory.ts'
import { systemNow } from '../../lib/clock.ts'
import { explain } from '../../lib/command-help.ts'
import { SettingsError } from '../../lib/config.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import { holdPaths, type HoldConfig } from '../config.ts'
import { findDid } from '../pds/identity.ts'
import { findKey, replaceKey } from '../pds/key-file.ts'
import { findPlcDocument } from '../pds/plc-document.ts'
import { openContext } from './open-context.ts'

/** `key show`, `key rotate`: the keys that make a hold who it is. */
export function addKeyCommands(command: Command, run: RunWithSettings<HoldConfig>): void {
  const key = command.command('key').description('the keys of the hold')
  explain(withConfigOption(key.command('show')), {
    summary: 'show the DID, the public keys, and what the DID directory says',
    description:
      'Private keys are never shown. Works while the hold runs. For a did:plc the directory is asked which signing key ' +
      'others believe in, and whether the rotation key here may change that.',
    examples: [['atcr-hold key show --config atcr-hold.yaml', 'see who this hold is']],
  }).action((options: ConfigOption) => run(options, showKeys))
  explain(withConfigOption(key.command('rotate')), {
    summary: 'replace the key that signs the data repo',
    description:
      'Makes a new signing key, keeps the old one beside it under another name, updates the DID document (did:plc: by an ' +
      'operation signed with the rotation key; did:web: the hold serves the new document as soon as it runs) and signs the ' +
      'newest commit again, so that everyone can verify the data repo with the new key. DID, records and blobs stay. The ' +
      'hold must not be running.',
    examples: [
      [
        'systemctl stop atcr-hold && atcr-hold key rotate --config atcr-hold.yaml && systemctl start atcr-hold',
        'after the old key may have been seen by others',
      ],
    ],
  }).action((options: ConfigOption) => run(options, rotateKey))
}

async function showKeys(config: HoldConfig): Promise<void> {
  const paths = pathsOf(config)
  const did = await findDid({ did: config.database.did ?? null, didPath: paths.did })
  const signingKey = await findKey(paths.signingKey)
  if (did === undefined || signingKey === undefined) {
    throw new SettingsError([
      `no hold has run yet with ${paths.database}: \`atcr-hold serve\` makes its keys`,
    ])
  }
  const lines = [
    ['DID', did],
    ['signing key', `${signingKey.did()}  ${paths.signingKey}`],
  ]
  if (did.startsWith('did:plc:')) {
    const rotationKey = await findKey(paths.rotationKey)
    const { plc_directory_url: url } = config.database
    const { test_mode: allowPrivateNetwork } = config.server
    const fetch = createOutboundFetch({ userAgent: 'atcr-hold/0.1.0', allowPrivateNetwork })
    const known = await findPlcDocument(did, new PlcDirectory({ fetch, url }))
    const published = known?.document.verificationMethods['atproto']
    const isOurs =
      rotationKey !== undefined && known?.document.rotationKeys.includes(rotationKey.did()) === true
    lines.push(
      [
        'rotation key',
        rotationKey === undefined ? 'none here' : `${rotationKey.did()}  ${paths.rotationKey}`,
      ],
      [`in ${url}`, published === signingKey.did() ? 'the same signing key' : `signing key ${published ?? 'unknown'}`], // prettier-ignore
      ['may change it', isOurs ? 'yes' : 'no: the rotation key here is not one of the document'],
    )
  }
  process.stdout.write(`${lines.map(([name, value]) => `${name}: ${value}`).join('\n')}\n`)
}

async function rotateKey(config: HoldConfig): Promise<void> {
  const paths = pathsOf(config)
  let rotation: Awaited<ReturnType<typeof replaceKey>>
  {
    await using context = await openContext(config)
    await context.keeper.checkCanFollow()
    rotation = await replaceKey(paths.signingKey, systemNow)
  }
  // Opening brings everything that follows from the key file up to date, and would at the next start if this were cut off.
  await using context = await openContext(config)
  process.stdout.write(
    `${context.identity.did} signs with ${rotation.key.did()} now.\n` +
      `The old key is ${rotation.oldPath}: keep it until you are sure, then delete it.\n`,
  )
}

function pathsOf(config: HoldConfig) {
  return holdPaths(config, process.getuid?.() === 0)
}
