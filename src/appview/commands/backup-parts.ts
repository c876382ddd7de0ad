import { appViewPaths, type AppViewConfig } from '../config.ts'

/** What backups of an AppView say they are of. */
export const backupProgram = 'atcr-appview'

/** The host that sign-ins and tokens of this AppView are for: a backup of another one is of no use to it. */
export function backupIdentity(config: AppViewConfig): string {
  return new URL(config.server.base_url).host
}

/** A file that makes an AppView, and where it is. */
export interface BackupPart {
  name: string
  path: string
}

/** The database, which is the last to be put back: an AppView that has one is there. */
export function databasePart(config: AppViewConfig): BackupPart {
  return { name: 'ui.db', path: pathsOf(config).database }
}

/** Keys and certificate. */
export function keyParts(config: AppViewConfig): BackupPart[] {
  const { registryKey, registryCertificate, sealingKey, oauthKey } = pathsOf(config)
  return [
    { name: 'auth/private-key.pem', path: registryKey },
    { name: 'auth/private-key.crt', path: registryCertificate },
    { name: 'auth/sealing.key', path: sealingKey },
    { name: 'oauth/client.key', path: oauthKey },
  ]
}

function pathsOf(config: AppViewConfig) {
  return appViewPaths(config, process.getuid?.() === 0)
}
