# shellcheck shell=bash
# What the helper scripts share: `. compose.sh`.

folder=${ATCR_FOLDER:-/opt/atcr}
compose_file=$folder/deploy/docker-compose.prod.yml

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

unknown_option() {
  printf '%s: unknown option %s\n' "$(basename "$0")" "$1" >&2
  usage >&2
  exit 2
}

# docker compose, for the containers of this registry.
compose() {
  [ -e "$compose_file" ] || fail "$compose_file is not there: ATCR_FOLDER names the clone"
  docker compose --project-directory "$folder/deploy" --file "$compose_file" "$@"
}
