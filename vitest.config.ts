import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take minutes begin first, so that the second worker does not wait for them in the end. */
const longest = [
  'hold-crash-s3',
  'hold-crash-disk',
  'hold-migrate',
  'credential-helper-login',
  'backup-restore',
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
 * Six projects, by what they need. `unit` shares one process per worker (fast; no global state in units); the others start
 * real programs, so a file has a process to itself. Two files of `contract` and `integration` run at a time, since they wait a lot
 * (for disks, clocks and programs that start); those of the rest one after another. Of several projects each has its turn.
 */
const own = { isolate: true, fileParallelism: false, testTimeout: 60_000, hookTimeout: 120_000 }

export default defineConfig({
  test: {
    reporters: ['default'],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/*.test.ts'],
          isolate: false,
          sequence: { groupOrder: 1 },
          testTimeout: 15_000,
        },
      },
      {
        test: {
          ...own,
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          fileParallelism: true,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          ...own,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          fileParallelism: true,
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          ...own,
          name: 'postgres',
          include: onBothDatabases.map((name) => `test/integration/${name}.test.ts`),
          env: { TEST_DATABASE: 'postgres' },
          fileParallelism: true,
          maxWorkers: 2,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          ...own,
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          testTimeout: 600_000,
          sequence: { groupOrder: 5 },
        },
      },
      {
        test: {
          ...own,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 300_000,
          sequence: { groupOrder: 6 },
        },
      },
    ],
  },
})
