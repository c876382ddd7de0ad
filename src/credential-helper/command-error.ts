/** A command did not do what was asked, and says why and what to do; the message is all that is printed. */
export class CommandError extends Error {
  override name = 'CommandError'
}
