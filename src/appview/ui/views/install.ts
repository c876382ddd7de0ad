/** A machine that the credential helper runs on. */
interface HelperSystem {
  /** As builds are named. */
  key: string
  name: string
}

const systems: readonly HelperSystem[] = [
  { key: 'linux-x64', name: 'Linux, x64' },
  { key: 'linux-arm64', name: 'Linux, ARM64' },
  { key: 'darwin-arm64', name: 'macOS, Apple silicon' },
  { key: 'darwin-x64', name: 'macOS, Intel' },
  { key: 'win-x64', name: 'Windows, x64' },
]

/** How the helper gets onto a machine. */
export interface InstallView {
  /** What image names begin with. */
  host: string
  /** Empty where this registry offers no builds. */
  commands: { system: string; text: string }[]
  /** What is downloaded; empty where the builds are elsewhere, with their checksums. */
  files: { system: string; name: string; path: string; sha256: string }[]
}

export interface InstallNeeds {
  /** The registry's public address. */
  baseUrl: string
  helper: {
    builds: { list(): Promise<readonly { name: string; sha256: string }[]> }
    /** Where builds are downloaded from, when not here. */
    downloadBase: string | undefined
  }
}

/** What there is to install, for which machines. */
export async function viewInstall({ baseUrl, helper }: InstallNeeds): Promise<InstallView> {
  const { host, origin } = new URL(baseUrl)
  const builds = await helper.builds.list()
  const files = systems.flatMap(({ key, name: system }) =>
    builds
      .filter(({ name }) => new RegExp(`-${key}(?:\\.exe)?\\.gz$`).test(name))
      .map(({ name, sha256 }) => ({ system, name, path: `/install/${name}`, sha256 })),
  )
  const isFor = (prefix: string) =>
    files.length === 0 ? helper.downloadBase !== undefined : files.some(({ system }) => system.startsWith(prefix)) // prettier-ignore
  const shells = ['Linux', 'macOS'].filter(isFor).join(', ')
  return {
    host,
    commands: [
      ...(shells === '' ? [] : [{ system: shells, text: `curl -fsSL ${origin}/install.sh | sh` }]),
      ...(isFor('Windows') ? [{ system: 'Windows', text: `irm ${origin}/install.ps1 | iex` }] : []),
    ],
    files,
  }
}
