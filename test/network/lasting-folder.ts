import { tmpdir } from 'node:os'

/**
 * Where temporary files are when they are not in memory (see `fast-disk.ts`): for what is large or wants a disk, and for
 * what somebody may look at after a test run.
 */
export const lastingFolder = process.env['LASTING_TMPDIR'] ?? tmpdir()
