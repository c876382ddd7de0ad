/**
 * Docker's settings of somebody who is signed in nowhere that matters. With no login at all, Docker and Helm would take
 * whichever keyring program they find on the machine for their own.
 */
export const loggedOut = '{"auths":{"nowhere.invalid":{"auth":"bm9ib2R5Om5vdGhpbmc="}}}'
