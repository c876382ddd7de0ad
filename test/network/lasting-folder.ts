import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** On a real disk, for what is large or wants one, and for what somebody may look at after a test run. */
export const lastingFolder = existsSync('/var/tmp') ? '/var/tmp' : tmpdir()
