#!/usr/bin/env bash
# Logs of the containers.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=compose.sh
. "$(dirname "$(readlink -f "$0")")/compose.sh"

usage() {
  cat <<'END'
Usage: logs.sh [--follow] [--since <time>] [service…]

Shows what Caddy, AppView and hold have logged; services are caddy, appview and hold (default: all).

Options:
  --follow, -f    go on as lines come
  --since <time>  such as 10m, 2h or 2026-01-31T12:00:00 (default: 1h)
  --help          print this
END
}

since=1h
options=()
while [ $# -gt 0 ]; do
  case $1 in
    --follow | -f) options+=(--follow) ;;
    --since) since=${2:?"--since needs a time"}; shift ;;
    --help | -h) usage; exit 0 ;;
    -*) unknown_option "$1" ;;
    *) break ;;
  esac
  shift
done
compose logs --timestamps --since "$since" ${options[@]+"${options[@]}"} "$@"
