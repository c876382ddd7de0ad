import { chmod, cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'

import { rolldown, type OutputChunk, type Plugin } from 'rolldown'

import { version } from '../../src/lib/version.ts'
import { packagesOf, writeNotices, type NpmPackage } from './npm-packages.ts'
import type { ReleasedProgram } from './programs.ts'

/** A program in one folder, which Node runs with nothing installed. */
export interface Bundle {
  folder: string
  /** The file to run. */
  main: string
  /** What it is made of, besides our own sources. */
  packages: NpmPackage[]
}

/** With the lines of our sources in stack traces. */
const firstLine = '#!/usr/bin/env -S node --enable-source-maps'

/**
 * Bundles a program into a new folder: one file of code, those that it loads on demand and its workers, source maps, the files
 * that it reads by path where it looks for them, and the licences of what is in it. Nothing is minified: stack traces and
 * profiles are read by people.
 */
export async function bundleProgram(program: ReleasedProgram, folder: string): Promise<Bundle> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await using bundled = await rolldown({
    input: { [program.name]: program.main },
    platform: 'node',
    // Generated lexicons carry hints that only another bundler reads.
    checks: { invalidAnnotation: false },
    // A faster driver that `pg` looks for and does without; and one that is native code for each system, which who wants it installs.
    external: ['pg-native', 'libsql'],
    plugins: [pathsOfSources, mapsWithoutSources(folder)],
  })
  const { output } = await bundled.write({
    dir: folder,
    format: 'esm',
    sourcemap: true,
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    banner: (chunk) => (chunk.name === program.name ? firstLine : ''),
  })
  const chunks = output.filter((it): it is OutputChunk => it.type === 'chunk')
  const main = join(folder, `${program.name}.js`)
  await chmod(main, 0o755)
  await writeFile(join(folder, 'package.json'), `${JSON.stringify({ name: program.name, version, type: 'module' })}\n`) // prettier-ignore
  for (const asset of program.assets) await cp(asset, join(folder, asset), { recursive: true })
  for (const file of program.packageFiles) await copyPackageFile(file, folder)
  const packages = packagesOf([
    ...chunks.flatMap(({ modules }) => Object.keys(modules)),
    ...program.packageFiles.map((file) => resolve('node_modules', file)),
  ])
  await writeNotices(packages, join(folder, 'THIRD-PARTY-LICENSES.txt'))
  return { folder, main, packages }
}

/** With the description of its package, by which Node finds it. */
async function copyPackageFile(file: string, folder: string): Promise<void> {
  const [scope = '', name = ''] = file.split('/')
  const home = scope.startsWith('@') ? `${scope}/${name}` : scope
  for (const path of [file, `${home}/package.json`]) {
    await cp(join('node_modules', path), join(folder, 'node_modules', path), {
      recursive: true,
      // highlight.js has each language twice, the second one under an outdated name.
      filter: (source) => !source.endsWith('.js.js'),
    })
  }
}

/**
 * A source that reads a file beside it, or starts a worker beside it, does so in the bundle as well: all code is in the
 * bundle's folder, where assets keep the paths that they have in the project, and workers have files of their own.
 */
const pathsOfSources: Plugin = {
  name: 'paths-of-sources',
  transform(code, id) {
    const path = relative('.', id)
    if (!path.startsWith('src/') || !code.includes('import.meta.')) return undefined
    const beside = dirname(path)
    const moved = code
      .replaceAll('import.meta.dirname', `(import.meta.dirname + ${JSON.stringify(`/${beside}`)})`)
      .replaceAll(/new URL\('([\w-]+)\.ts', import\.meta\.url\)/g, (_, name: string) => {
        const fileName = `${basename(beside)}-${name}.js`
        this.emitFile({ type: 'chunk', id: resolve(beside, `${name}.ts`), fileName })
        return `new URL('${fileName}', import.meta.url)`
      })
    return { code: moved, map: null }
  },
}

/** Names of sources from the root of the project, and not their text, which is three times the code. */
function mapsWithoutSources(folder: string): Plugin {
  return {
    name: 'maps-without-sources',
    generateBundle(_, output) {
      for (const file of Object.values(output)) {
        if (file.type !== 'asset' || !file.fileName.endsWith('.map')) continue
        const map = JSON.parse(String(file.source)) as { sources: string[]; sourcesContent?: unknown }
        map.sources = map.sources.map((source) => relative('.', resolve(folder, source)))
        delete map.sourcesContent
        file.source = JSON.stringify(map)
      }
    },
  }
}
