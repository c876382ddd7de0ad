#!/usr/bin/env bash
# Brings the clone up to date, builds the images and replaces the containers.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=compose.sh
. "$(dirname "$(readlink -f "$0")")/compose.sh"

usage() {
  cat <<'END'
Usage: rebuild.sh [--no-pull] [--no-backup]

Backs up, pulls the newest version, builds the images and replaces the containers. While images are built the old containers
serve; they are gone for the seconds of their replacement, and clients go on with their uploads.

Options:
  --no-pull    build what is in the clone
  --no-backup  do not back up before; there is no way back to an older version but a backup
  --help       print this
END
}

does_pull=yes
does_back_up=yes
while [ $# -gt 0 ]; do
  case $1 in
    --no-pull) does_pull=no ;;
    --no-backup) does_back_up=no ;;
    --help | -h) usage; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

if [ "$does_back_up" = yes ]; then "$(dirname "$(readlink -f "$0")")/backup.sh"; fi
if [ "$does_pull" = yes ]; then
  # What was changed here by hand is not to be merged by a script.
  git -C "$folder" pull --ff-only || fail "the clone cannot be brought forward: look at git -C $folder status"
fi
compose build --pull appview hold
compose up --detach --remove-orphans
compose ps
