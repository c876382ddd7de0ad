/**
 * Builds what the tests need from Go: the official conformance suite and the clients that Debian does not have. What is
 * built already is left alone. A failure is told here and counted by the tests that miss the program.
 */
import { buildSuite } from '../test/conformance/official-suite.ts'
import { clientSources } from '../test/e2e/clients/all.ts'

try {
  buildSuite()
  for (const client of clientSources) client.prepare?.()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
}
