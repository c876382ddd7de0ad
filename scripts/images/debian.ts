import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

/** The system that a program runs on, of Debian 12; what of them goes into images, and why. */
const packageUses = {
  libc6: 'Node needs it',
  'libgcc-s1': 'Node needs it',
  'libstdc++6': 'Node needs it',
  libatomic1: 'Node needs it',
  'gcc-12-base': 'the licence of these libraries',
  'ca-certificates': 'whom to trust',
  tzdata: 'local times',
  'base-files': 'the name of the system, for those who look for its weaknesses',
}
const packageNames = Object.keys(packageUses)

/** What Debian calls the architectures that Node names. */
export const debianArchitectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

/** A package of Debian, unpacked. */
export interface DebianPackage {
  name: string
  version: string
  architecture: string
  /** Its description as dpkg keeps it. */
  control: string
}

export interface DebianFiles {
  /** Where all packages are unpacked over each other. */
  root: string
  packages: DebianPackage[]
}

/**
 * Fetches and unpacks the packages, verified by apt as on any Debian. The lists of the machine are used for its own
 * architecture; for others they are fetched into the folder.
 * @throws Error where this is no Debian, or apt knows of no packages yet
 */
export function fetchDebianFiles(architecture: string, folder: string): DebianFiles {
  const debian = debianArchitectures[architecture]
  if (debian === undefined) throw new Error(`there are no images for ${architecture}`)
  const home = resolve(folder, debian)
  const root = join(home, 'root')
  mkdirSync(home, { recursive: true })
  const options = ['-qq', '-o', 'APT::Sandbox::User=root', ...(isNative(debian) ? [] : foreignOptions(debian, home))] // prettier-ignore
  if (!isNative(debian)) must('apt-get', [...options, 'update'], home)
  must('apt-get', [...options, 'download', ...packageNames], home)
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root)
  const packages = packageNames.map((name) => {
    const file = newest(home, name)
    must('dpkg-deb', ['-x', file, root], home)
    const control = must('dpkg-deb', ['-f', file], home)
    const field = (key: string) => new RegExp(`^${key}: (.*)$`, 'm').exec(control)?.[1] ?? ''
    return { name, version: field('Version'), architecture: field('Architecture'), control }
  })
  return { root, packages }
}

const isNative = (debian: string) =>
  spawnSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).stdout?.trim() === debian

/** The machine's sources and keys, with lists of the folder's own. */
function foreignOptions(debian: string, home: string): string[] {
  for (const path of ['lists/partial', 'archives/partial']) mkdirSync(join(home, path), { recursive: true })
  const settings = {
    'APT::Architecture': debian,
    'APT::Architectures': debian,
    'Dir::State::lists': join(home, 'lists'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': home,
    // Indexes for people who search files are large.
    'Acquire::Languages': 'none',
  }
  return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
}

/** Of several that earlier runs left, the one that was fetched now has the newest version. */
function newest(home: string, name: string): string {
  const files = globSync(`${name}_*.deb`, { cwd: home })
  const isNewer = (a: string, b: string) =>
    spawnSync('dpkg', ['--compare-versions', versionIn(a), 'gt', versionIn(b)]).status === 0
  const [first, ...rest] = files
  if (first === undefined) throw new Error(`apt-get fetched no ${name}`)
  return join(
    home,
    rest.reduce((best, file) => (isNewer(file, best) ? file : best), first),
  )
}

const versionIn = (file: string) => decodeURIComponent(basename(file).split('_')[1] ?? '')

/** Runs a program of Debian. @throws Error with what it said */
export function must(command: string, args: readonly string[], folder = '.'): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
    env: { ...process.env, LC_ALL: 'C' },
  })
  if (error !== undefined) {
    const advice = 'images are made of packages of Debian 12, on a machine that has its apt and binutils'
    throw new Error(`${command} cannot be run: ${advice}`, { cause: error })
  }
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}\nended with ${status}\n${stderr}${stdout}`)
  return stdout
}

/** Copies the system's part of an image: libraries for one executable, certificates, time zones, and who they are from. */
export function copySystem({ root, packages }: DebianFiles, executable: string, target: string): void {
  const copy = (from: string, to = from) => {
    mkdirSync(dirname(join(target, to)), { recursive: true })
    cpSync(join(root, from), join(target, to), { recursive: true, dereference: true })
  }
  for (const library of librariesOf(executable, root)) copy(library)
  copy('usr/lib/os-release', 'etc/os-release')
  copy('usr/share/zoneinfo')
  // The same times once more under other rules, which nobody asks for by accident.
  for (const twin of ['posix', 'right']) rmSync(join(target, 'usr/share/zoneinfo', twin), { recursive: true, force: true }) // prettier-ignore
  mkdirSync(join(target, 'etc/ssl/certs'), { recursive: true })
  writeFileSync(join(target, 'etc/ssl/certs/ca-certificates.crt'), certificatesOf(root))
  mkdirSync(join(target, 'var/lib/dpkg/status.d'), { recursive: true })
  for (const { name, control } of packages) {
    // Where scanners look for packages that have no package manager.
    writeFileSync(join(target, 'var/lib/dpkg/status.d', name), control)
    if (existsSync(join(root, `usr/share/doc/${name}/copyright`))) copy(`usr/share/doc/${name}/copyright`)
  }
}

/** As `update-ca-certificates` writes them. */
function certificatesOf(root: string): string {
  const folder = join(root, 'usr/share/ca-certificates/mozilla')
  const files = globSync('*.crt', { cwd: folder }).sort()
  if (files.length < 50) throw new Error(`ca-certificates has ${files.length} certificates only`)
  return files.map((file) => `${readFileSync(join(folder, file), 'utf8').trim()}\n`).join('')
}

/** The loader and every library that an executable and its libraries name, as paths in the root. */
function librariesOf(executable: string, root: string): Set<string> {
  const loader = /interpreter: \/([^\]]+)\]/.exec(must('readelf', ['-l', executable]))?.[1]
  if (loader === undefined) throw new Error(`${executable} names no loader`)
  const found = new Set([loader])
  const pending = [executable]
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    for (const [, name = ''] of must('readelf', ['-d', file]).matchAll(/\(NEEDED\).*\[(.+)\]/g)) {
      if (basename(loader) === name) continue
      const [path] = globSync(`{usr/lib,lib}/*-linux-gnu/${name}`, { cwd: root })
      if (path === undefined) throw new Error(`${basename(file)} needs ${name}, which is in no package`)
      if (!found.has(path)) pending.push(join(root, path))
      found.add(path)
    }
  }
  return found
}
