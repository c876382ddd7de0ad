import { spawnSync } from 'node:child_process'

/** What the tests need from Debian, and what for. */
export const testPackages: Record<string, string> = {
  chromium: 'page tests in a real browser',
  'fonts-liberation': 'so that its screenshots have text',
  podman: 'pushes and pulls',
  crun: "podman's runtime",
  skopeo: 'pushes and pulls',
  buildah: 'pushes and pulls',
  containerd: 'ctr pushes and pulls through it',
  runc: "containerd's runtime; runs programs as restricted as units do",
  'docker.io': 'Docker Engine pushes and pulls',
  'golang-docker-credential-helpers': "docker's helper for keyrings, which ours hands secrets to",
  'gnome-keyring': 'a keyring',
  'dbus-daemon': 'the session bus that a keyring is on',
  postgresql: 'the second database',
  'redis-server': 'what several AppViews share',
  caddy: 'the proxy before everything, with TLS',
  'nginx-light': 'another one',
  systemd: 'units are read by its tools',
  shellcheck: 'scripts for servers are read by it',
  curl: 'asks as people do, over HTTP/2 too',
  iproute2: 'a network of its own for trials with TLS and public names',
  git: 'the history is looked through for secrets',
  binutils: 'Node is stripped for images',
  radosgw: 'a real S3 server: its gateway',
  'ceph-mon': 'a real S3 server: its monitor',
  'ceph-osd': 'a real S3 server: its disk',
  'ceph-common': 'a real S3 server: its commands',
}

/** What `npm run bench` needs from Debian, and what for. */
export const benchPackages: Record<string, string> = {
  'docker-registry': 'the peer that everything is measured against',
  skopeo: 'a client of its own, for large images',
  wrk: 'load',
}

/** Those of `wanted` that are not installed. */
export function missingPackages(wanted: readonly string[]): string[] {
  return wanted.filter((name) => {
    const { stdout } = spawnSync('dpkg-query', ['-W', '-f', '${db:Status-Status}', name], {
      encoding: 'utf8',
    })
    return stdout !== 'installed'
  })
}

/** Installs packages as root, with apt's own progress. Answers whether all are there now. */
export function installPackages(names: readonly string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args: string[]) =>
    spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { stdio: 'inherit', env }).status === 0
  apt('update', '-qq')
  return apt('install', '-y', '-qq', '--no-install-recommends', ...names)
}
