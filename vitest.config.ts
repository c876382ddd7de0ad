import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest begin first, so that no worker waits for another one in the end. */
const longest = [
  'hold-crash-s3',
  'hold-crash-disk',
  'hold-migrate',
  'credential-helper-login',
  'backup-restore',
  'official-suite',
  'every-page',
  'docs-commands',
  'container-images',
  'login',
  'admin',
  'all-in-one',
  'settings',
  'client-matrix',
  'credential-helper',
  'helper',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = longest.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`))
      return index === -1 ? longest.length : index
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

/** Files of `integration` that run once more with the AppView's tables on PostgreSQL; others do by TEST_DATABASE=postgres. */
const onBothDatabases = ['indexer-backfill', 'manifest-pages', 'people', 'repository-pages']

/**
 * Six projects, by what they need. Two files run at a time whatever the machine, since they wait a lot (for disks, clocks
 * and programs that start), and files share a process: most of their time would go into loading the same modules again. So
 * what a file changes for its process (variables, certificates it believes in) it changes back. Projects of one order
 * follow each other without a pause.
 */
const own = {
  isolate: false,
  fileParallelism: true,
  maxWorkers: 2,
  testTimeout: 60_000,
  hookTimeout: 120_000,
}

export default defineConfig({
  test: {
    reporters: ['default'],
    globalSetup: ['test/fast-disk.ts'],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...own,
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/*.test.ts'],
          sequence: { groupOrder: 1 },
          testTimeout: 15_000,
        },
      },
      {
        test: {
          ...own,
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          ...own,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          ...own,
          name: 'postgres',
          include: onBothDatabases.map((name) => `test/integration/${name}.test.ts`),
          env: { TEST_DATABASE: 'postgres' },
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          ...own,
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          testTimeout: 600_000,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          ...own,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 300_000,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
})
