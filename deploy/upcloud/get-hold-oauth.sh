#!/usr/bin/env bash
# The address at which the owner lets the hold register.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=compose.sh
. "$(dirname "$(readlink -f "$0")")/compose.sh"

usage() {
  cat <<'END'
Usage: get-hold-oauth.sh [--since <time>]

Prints the newest "Visit this URL to authorize" line of the hold's log: with registration.write_owner_records on, the hold asks
its owner at every start to let it register in the owner's data repo. Open the address and sign in as the owner.

Options:
  --since <time>  how far back to look (default: 24h)
  --help          print this
END
}

since=24h
while [ $# -gt 0 ]; do
  case $1 in
    --since) since=${2:?"--since needs a time"}; shift ;;
    --help | -h) usage; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

# Log lines are JSON; an address ends at a quote or a blank.
line=$(compose logs --no-log-prefix --since "$since" hold | grep -o 'Visit this URL to authorize: [^" ]*' | tail -n 1 || true)
[ -n "$line" ] || fail "the hold has not asked in the last $since. Set HOLD_REGISTRATION_WRITE_OWNER_RECORDS=true for it, and restart it"
printf '%s\n' "$line"
