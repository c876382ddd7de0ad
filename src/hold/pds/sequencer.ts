/** The event log; whole soon. */
export class Sequencer {}
