#!/usr/bin/env bash
# Copies databases, keys and blobs of the running containers.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=compose.sh
. "$(dirname "$(readlink -f "$0")")/compose.sh"

usage() {
  cat <<'END'
Usage: backup.sh [--no-blobs] [folder]

Backs up AppView and hold while they run, into <folder>/appview and <folder>/hold (default: /var/backups/atcr). A later backup
takes the place of the one before, and copies only blobs that are new. docs/operating/backup.md tells how to restore.

Options:
  --no-blobs  leave layers out, because they are in a bucket or saved by other means
  --help      print this
END
}

blobs=--blobs
while [ $# -gt 0 ]; do
  case $1 in
    --no-blobs) blobs= ;;
    --help | -h) usage; exit 0 ;;
    -*) unknown_option "$1" ;;
    *) break ;;
  esac
  shift
done
[ $# -le 1 ] || fail 'one folder, please'
target=${1:-/var/backups/atcr}
# What the programs run as in their containers.
user=65532

install -d -m 0700 "$target"
for service in appview hold; do install -d -m 0700 -o "$user" -g "$user" "$target/$service"; done
target=$(readlink -f "$target")
# The AppView first: what it knows by then, the hold has. A container beside each, with the same volume.
compose run --rm --no-deps --volume "$target/appview:/backup:Z" appview backup /backup
compose run --rm --no-deps --volume "$target/hold:/backup:Z" hold backup ${blobs:+"$blobs"} /backup
