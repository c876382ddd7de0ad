import { openDoor } from '../lib/door.ts'
import { holdProgram } from './program.ts'

await openDoor(holdProgram, process.env)
