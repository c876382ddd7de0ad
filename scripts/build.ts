/**
 * `npm run build [-- [--out <folder>] [<program>…]]`: programs as folders that Node runs with nothing installed, in
 * dist/release unless told. What container images and servers without npm are made of.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { bundleProgram } from './release/bundle.ts'
import { choosePrograms } from './release/programs.ts'

const { values, positionals } = parseArgs({ options: { out: { type: 'string' } }, allowPositionals: true })
const out = values.out ?? 'dist/release'
for (const program of choosePrograms(positionals)) {
  const { main, packages } = await bundleProgram(program, join(out, program.name))
  console.log(`built ${main}, with ${packages.length} packages in it`)
}
