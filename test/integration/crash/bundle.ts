import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { rolldown } from 'rolldown'
import { afterAll } from 'vitest'

/**
 * `child.ts` with all that it imports in a few files, until the tests of this file are over. A hold is 1,500 modules, and
 * who starts three hundred of them one after another mostly waits for modules: it is four times as fast from a bundle.
 */
export async function bundleChild(): Promise<{ script: string; compileCache: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'atcr-crash-child-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  await using bundled = await rolldown({
    input: join(import.meta.dirname, 'child.ts'),
    platform: 'node',
    // Never asked for here.
    external: ['pg'],
    logLevel: 'silent',
    plugins: [{ name: 'places', transform: withPlace }],
  })
  await bundled.write({ dir: folder, entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' })
  return { script: join(folder, 'child.mjs'), compileCache: join(folder, 'compile-cache') }
}

/** Modules find their files where they were. */
function withPlace(code: string, id: string): string | undefined {
  return code.includes('import.meta.dirname')
    ? code.replaceAll('import.meta.dirname', JSON.stringify(dirname(id)))
    : undefined
}
