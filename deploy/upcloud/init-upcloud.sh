#!/usr/bin/env bash
# Makes a fresh Rocky Linux 9 server into an ATCR registry: packages, Docker, firewall, clone, unit `atcr`. Run as root. It may
# be run again at any time: what is done already is left alone.
set -euo pipefail

usage() {
  cat <<'END'
Usage: init-upcloud.sh [--dry-run] --repository <url>

Prepares Rocky Linux 9 for ATCR: packages, Docker, firewall (ssh, http, https), a clone in /opt/atcr, the unit `atcr`.
Then it says what is left to be filled in. Running it again changes nothing that is done already.

Options:
  --repository <url>  where ATCR is cloned from; needed while /opt/atcr is not there
  --branch <name>     what is checked out (default: main)
  --dry-run           print what would be done, and do nothing
  --help              print this
END
}

folder=${ATCR_FOLDER:-/opt/atcr}
units=${ATCR_UNITS:-/etc/systemd/system}
os_release=${ATCR_OS_RELEASE:-/etc/os-release}
docker_repository=https://download.docker.com/linux/rhel/docker-ce.repo
is_dry=no
repository=
branch=main

while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) is_dry=yes ;;
    --repository) repository=${2:?"--repository needs an address"}; shift ;;
    --branch) branch=${2:?"--branch needs a name"}; shift ;;
    --help | -h) usage; exit 0 ;;
    *) echo "init-upcloud.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

say() { printf '== %s\n' "$*"; }
fail() { printf 'init-upcloud.sh: %s\n' "$*" >&2; exit 1; }

# Runs a command, or says that it would.
act() {
  if [ "$is_dry" = yes ]; then
    printf 'would run:'
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

check_system() {
  # shellcheck source=/dev/null
  . "$os_release"
  case "${ID:-}:${VERSION_ID:-}" in
    rocky:9*) ;;
    *) fail "this is ${PRETTY_NAME:-an unknown system}; the script knows Rocky Linux 9. docs/operating/bare-metal.md has the steps for others." ;;
  esac
  [ "$is_dry" = yes ] || [ "$(id -u)" = 0 ] || fail 'run it as root: sudo init-upcloud.sh …'
}

install_packages() {
  local package missing=()
  for package in dnf-plugins-core firewalld git; do
    rpm -q "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  if [ ${#missing[@]} = 0 ]; then
    say 'packages are installed'
  else
    say "packages: ${missing[*]}"
    act dnf install -y "${missing[@]}"
  fi
}

install_docker() {
  if rpm -q docker-ce docker-compose-plugin >/dev/null 2>&1; then
    say 'Docker is installed'
  else
    say 'Docker'
    act dnf config-manager --add-repo "$docker_repository"
    act dnf install -y docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin
  fi
  enable docker.service
}

# Starts a unit now and at every boot.
enable() {
  if systemctl is-enabled --quiet "$1" && systemctl is-active --quiet "$1"; then
    say "$1 runs"
  else
    say "start $1"
    act systemctl enable --now "$1"
  fi
}

open_firewall() {
  local service is_changed=no
  enable firewalld.service
  for service in ssh http https http3; do
    firewall-cmd --permanent --query-service="$service" >/dev/null 2>&1 && continue
    say "firewall: let $service in"
    act firewall-cmd --permanent --add-service="$service"
    is_changed=yes
  done
  if [ "$is_changed" = yes ]; then
    act firewall-cmd --reload
  else
    say 'the firewall is open for ssh, http and https'
  fi
}

clone() {
  if [ -e "$folder/.git" ]; then
    say "$folder is there; rebuild.sh brings it up to date"
    return
  fi
  [ -n "$repository" ] || fail "$folder is not there: say where to clone from, with --repository <url>"
  say "clone into $folder"
  act git clone --branch "$branch" "$repository" "$folder"
}

write_settings() {
  local settings=$folder/deploy/.env
  if [ -e "$settings" ]; then
    say "$settings stays as it is"
  else
    say "settings: $settings"
    # It will hold secrets: nobody else reads it, not even for a moment.
    act install -m 0600 "$folder/deploy/.env.prod.template" "$settings"
  fi
}

install_unit() {
  local source=$folder/deploy/upcloud/atcr.service target=$units/atcr.service
  if cmp -s "$source" "$target"; then
    say 'the unit atcr is installed'
  else
    say 'unit atcr'
    act install -m 0644 "$source" "$target"
    act systemctl daemon-reload
  fi
  if systemctl is-enabled --quiet atcr.service; then
    say 'the unit atcr starts with the machine'
  else
    act systemctl enable atcr.service
  fi
}

check_system
install_packages
install_docker
open_firewall
clone
write_settings
install_unit
cat <<END

Done. What is left:
  1. Two DNS names that lead to this machine, one for the registry and one for the hold.
  2. Fill in $folder/deploy/.env: APPVIEW_DOMAIN, HOLD_DOMAIN, HOLD_OWNER.
  3. systemctl start atcr      (the first start builds the images: some minutes)
  4. $folder/deploy/upcloud/logs.sh --follow
END
