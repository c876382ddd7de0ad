import { openDoor } from '../lib/door.ts'
import { appViewProgram } from './program.ts'

await openDoor(appViewProgram, process.env)
