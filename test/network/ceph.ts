import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { missingPackages } from '../../scripts/debian-packages.ts'
import { randomId } from '../../src/lib/ids.ts'
import { run } from '../e2e/command.ts'
import { Daemon } from './daemon.ts'
import { lastingFolder } from './lasting-folder.ts'
import { findFreePort } from './listening.ts'

/** What {@link startCeph} needs from Debian. No manager daemon: with one disk and fixed placement nobody asks it. */
export const cephPackages = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common'] as const

const readySecondsMax = 90
const gatewayHost = '127.0.0.2'

/** A real S3 server: Ceph's object gateway, on loopback, for as long as it is not disposed of. */
export interface Ceph extends AsyncDisposable {
  /** `http://127.0.0.2:<port>`: another address than the registry's, as S3 is on another host in life. */
  endpoint: string
  region: string
  accessKeyId: string
  secretAccessKey: string
  /** Virtual-host style: `<bucket>.<virtualHostDomain>:<port>`; the names resolve nowhere, see `lookup`. */
  virtualHostDomain: string
  port: number
}

/**
 * Starts a monitor, a disk (a sparse file) and the gateway in a temporary folder. Takes about 10 s and 600 MB.
 * @throws Error naming the Debian packages that are missing, or the end of the log of what did not start
 */
export async function startCeph(): Promise<Ceph> {
  const missing = missingPackages(cephPackages)
  if (missing.length > 0)
    throw new Error(
      `No Ceph on this machine, so nothing was tested against a real S3 server. Install as root: ` +
        `apt-get install --no-install-recommends ${missing.join(' ')}`,
    )
  const cluster = new Cluster(await mkdtemp(join(lastingFolder, 'atcr-ceph-')))
  try {
    return await cluster.start()
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
}

class Cluster implements AsyncDisposable {
  readonly #folder: string
  readonly #daemons: Daemon[] = []

  constructor(folder: string) {
    this.#folder = folder
  }

  async start(): Promise<Ceph> {
    const virtualHostDomain = 's3.localhost'
    const monPort = await findFreePort()
    const port = await findFreePort(gatewayHost)
    const fsid = randomUUID()
    const monAddress = `[v2:127.0.0.1:${monPort}]`
    for (const name of ['run', 'mon', 'osd', 'rgw', 'crash']) await mkdir(join(this.#folder, name))
    await writeFile(
      join(this.#folder, 'ceph.conf'),
      configuration({
        folder: this.#folder,
        fsid,
        monAddress,
        gateway: `${gatewayHost}:${port}`,
        virtualHostDomain,
      }),
    )
    await this.#makeKeyring()
    await this.#startMonitor(fsid, monAddress)
    await this.#startDisk()
    const keys = { accessKeyId: `AK${randomId(12)}`, secretAccessKey: randomId(30) }
    await this.#run('radosgw-admin', ['user', 'create', '--uid=test', '--display-name=test', `--access-key=${keys.accessKeyId}`, `--secret-key=${keys.secretAccessKey}`]) // prettier-ignore
    const endpoint = `http://${gatewayHost}:${port}`
    await this.#startGateway(endpoint)
    const dispose = () => this[Symbol.asyncDispose]()
    return { endpoint, port, virtualHostDomain, region: 'us-east-1', ...keys, [Symbol.asyncDispose]: dispose }
  }

  /** Nothing in it is wanted any more, so it is not asked to end in good order. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#daemons.map((daemon) => daemon.stop('SIGKILL')))
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #makeKeyring(): Promise<void> {
    const keyring = join(this.#folder, 'keyring')
    const all = ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *', '--cap', 'mgr', 'allow *']
    await this.#run('ceph-authtool', ['--create-keyring', keyring, '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *']) // prettier-ignore
    for (const name of ['client.admin', 'osd.0', 'client.rgw'])
      await this.#run('ceph-authtool', [keyring, '--gen-key', '-n', name, ...all])
  }

  async #startMonitor(fsid: string, address: string): Promise<void> {
    const map = join(this.#folder, 'monmap')
    await this.#run('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', address, map])
    await this.#run('ceph-mon', ['-i', 'a', '--mkfs', '--monmap', map, '--keyring', join(this.#folder, 'keyring')]) // prettier-ignore
    this.#daemon('ceph-mon', ['-i', 'a', '-f'])
  }

  async #startDisk(): Promise<void> {
    const uuid = randomUUID()
    // The `ceph` command itself waits for the monitor.
    await this.#run('ceph', ['--connect-timeout', String(readySecondsMax), 'osd', 'new', uuid])
    await this.#run('ceph-osd', ['-i', '0', '--mkfs', '--osd-uuid', uuid])
    this.#daemon('ceph-osd', ['-i', '0', '-f'])
  }

  async #startGateway(endpoint: string): Promise<void> {
    const gateway = this.#daemon('radosgw', ['-n', 'client.rgw', '-f'])
    await gateway.untilReady(async () => {
      const answer = await fetch(endpoint).catch(() => undefined)
      await answer?.body?.cancel()
      return answer !== undefined
    }, readySecondsMax)
  }

  #daemon(command: string, args: readonly string[]): Daemon {
    const options = { logFile: join(this.#folder, `${command}.out`), env: environment() }
    const daemon = new Daemon(command, ['-c', join(this.#folder, 'ceph.conf'), ...args], options)
    this.#daemons.push(daemon)
    return daemon
  }

  async #run(command: string, args: readonly string[]): Promise<void> {
    const hasConfiguration = command !== 'ceph-authtool' && command !== 'monmaptool'
    const conf = hasConfiguration ? ['-c', join(this.#folder, 'ceph.conf')] : []
    const { status, stdout, stderr } = await run(command, [...conf, ...args])
    if (status === 0) return
    const logs = await Promise.all(['mon.a', 'osd.0'].map((name) => this.#logEnd(name)))
    throw new Error(`${command} ${args[0] ?? ''} ended with ${status}:\n${stdout}${stderr}${logs.join('')}`)
  }

  async #logEnd(daemon: string): Promise<string> {
    const log = await readFile(join(this.#folder, `${daemon}.log`), 'utf8').catch(() => '')
    return log.split('\n').slice(-15).join('\n')
  }
}

/** Ceph reads CEPH_CONF and friends; only ours counts. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CEPH_')))
}

function configuration(settings: {
  folder: string
  fsid: string
  monAddress: string
  gateway: string
  virtualHostDomain: string
}): string {
  const { folder, fsid, monAddress, gateway, virtualHostDomain } = settings
  return `[global]
fsid = ${fsid}
mon host = ${monAddress}
public addr = 127.0.0.1
keyring = ${folder}/keyring
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 2
paxos propose interval = 0.05
run dir = ${folder}/run
log file = ${folder}/$name.log
admin socket = ${folder}/run/$name.asok
pid file = ${folder}/run/$name.pid
crash dir = ${folder}/crash
[mon.a]
mon data = ${folder}/mon
[osd.0]
osd data = ${folder}/osd
osd objectstore = bluestore
osd memory target = 939524096
osd crush location = root=default host=h
bluestore block size = 21474836480
[client.rgw]
rgw frontends = beast endpoint=${gateway} tcp_nodelay=1
rgw data = ${folder}/rgw
rgw dns name = ${virtualHostDomain}
`
}
