import { openDoor } from '../lib/door.ts'
import { allInOneProgram } from './program.ts'

await openDoor(allInOneProgram, process.env)
