#!/bin/sh
# Installs docker-credential-atcr, which signs docker, podman, buildah, skopeo and nerdctl in to ATCR registries.
#
#   ATCR_INSTALL_DIR  where to; /usr/local/bin for root, ~/.local/bin for everyone else, unless told
set -eu

registry='@REGISTRY@'
downloads='@DOWNLOADS@'
# sha256 and name of what there is to download, as it was when this script was fetched.
sums='@SUMS@'

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

# $1: address, $2: file
download() {
  # What begins on HTTPS stays there: curl goes to HTTPS only, and wget, which can be told no such thing, goes nowhere else.
  if command -v curl >/dev/null 2>&1; then
    case $1 in
      https://*) curl --proto '=https' -fsSL -o "$2" -- "$1" ;;
      *) curl -fsSL -o "$2" -- "$1" ;;
    esac
  elif command -v wget >/dev/null 2>&1; then
    case $1 in
      https://*)
        wget --help 2>&1 | grep -q -e --max-redirect || fail 'curl is needed: this wget would go from HTTPS to plain HTTP'
        wget -q --max-redirect=0 -O "$2" -- "$1" || fail "$1 could not be downloaded, or is elsewhere: then curl is needed; nothing was installed"
        ;;
      *) wget -q -O "$2" -- "$1" ;;
    esac
  else
    fail 'neither curl nor wget is installed'
  fi || fail "$1 could not be downloaded; nothing was installed"
}

# $1: file
sha256() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum <"$1"
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 <"$1"
  elif command -v openssl >/dev/null 2>&1; then
    openssl dgst -sha256 -r <"$1"
  else
    fail 'no sha256sum, shasum or openssl to verify the download with; nothing was installed'
  fi
}

find_system() {
  case $(uname -s) in
    Linux) system=linux ;;
    Darwin) system=darwin ;;
    *) fail "there is no build for $(uname -s); on Windows use install.ps1" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) machine=x64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) fail "there is no build for $(uname -m)" ;;
  esac
  if [ "$system" = linux ] && [ -n "$(find /lib -maxdepth 1 -name 'ld-musl-*' 2>/dev/null)" ] &&
    ! [ -e /lib64/ld-linux-x86-64.so.2 ] && ! [ -e /lib/ld-linux-aarch64.so.1 ]; then
    fail 'there is no build for systems with musl (Alpine); it needs glibc'
  fi
}

main() {
  find_system
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM

  if [ -z "$sums" ]; then
    [ -n "$downloads" ] || fail "$registry offers no builds of the credential helper; ask who runs it, or build it from its sources (npm run build:helper)"
    download "$downloads/SHA256SUMS" "$work/SHA256SUMS"
    sums=$(cat "$work/SHA256SUMS")
  fi
  name=docker-credential-atcr-$system-$machine.gz
  wanted=$(printf '%s\n' "$sums" | awk -v name="$name" '$2 == name { print $1 }')
  [ -n "$wanted" ] || fail "$registry has no build for $system-$machine; there is:
$(printf '%s\n' "$sums" | awk '/\.gz$/ { print "  " $2 }')"

  printf 'Downloading %s …\n' "$name"
  download "$downloads/$name" "$work/$name"
  found=$(sha256 "$work/$name" | awk '{ print $1 }')
  [ "$found" = "$wanted" ] || fail "the checksum of $downloads/$name is wrong; nothing was installed
  wanted $wanted
  found  $found"
  gzip -dc "$work/$name" >"$work/docker-credential-atcr"
  chmod 755 "$work/docker-credential-atcr"
  version=$("$work/docker-credential-atcr" version) || fail 'the program does not run here; nothing was installed'

  if [ "$(id -u)" = 0 ]; then folder=/usr/local/bin; else folder=$HOME/.local/bin; fi
  folder=${ATCR_INSTALL_DIR:-$folder}
  mkdir -p "$folder" || fail "$folder cannot be made"
  # Copied beside it and renamed over it: there is always a whole one.
  draft=$folder/.docker-credential-atcr.$$
  if ! cp "$work/docker-credential-atcr" "$draft" || ! mv -f "$draft" "$folder/docker-credential-atcr"; then
    fail "$folder cannot be written to"
  fi
  printf '%s is installed in %s.\n' "$version" "$folder"

  # shellcheck disable=SC2016 # $PATH is printed as it is to be written
  case :$PATH: in
    *:"$folder":*) ;;
    *) printf '\n%s is not in your PATH, where docker looks for it. Add to your ~/.profile:\n  export PATH="%s:$PATH"\n' "$folder" "$folder" ;;
  esac
  printf '\nNow sign in, and docker knows you:\n  docker-credential-atcr login %s\nLater, when docker should ask it for the registry again:\n  docker-credential-atcr configure-docker %s\n' "$registry" "$registry"
}

# In a function, so that half a script does nothing.
main "$@"
