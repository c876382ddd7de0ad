/** `npm run lexicons [-- --check]`: types from `lexicons/`, or a comparison of those with the committed ones. */
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const committed = 'src/protocol/lexicon/generated'

function generate(out: string): void {
  const parameters = ['build', '--lexicons', './lexicons', '--out', out, '--clear', '--import-ext', '.ts']
  const { status } = spawnSync('node_modules/.bin/lex', parameters, {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error(`lex build failed with ${status}`)
}

/** Files that differ between two folders, or are in one only. */
function differences(one: string, other: string): string[] {
  const read = (folder: string) =>
    new Map(
      globSync('**/*.ts', { cwd: folder }).map((file) => [file, readFileSync(join(folder, file), 'utf8')]),
    )
  const [here, there] = [read(one), read(other)]
  return [...new Set([...here.keys(), ...there.keys()])].filter((file) => here.get(file) !== there.get(file))
}

if (process.argv.includes('--check')) {
  const folder = mkdtempSync(join(tmpdir(), 'atcr-lexicons-'))
  try {
    generate(folder)
    const stale = differences(committed, folder)
    for (const file of stale) console.error(`${committed}/${file} is out of date: run \`npm run lexicons\``)
    if (stale.length > 0) process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true })
  }
} else {
  generate(committed)
  console.log(`wrote ${committed}`)
}
