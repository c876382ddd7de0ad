/**
 * Run inside a {@link Machine}: all that an AppView and a hold need of the world, behind whichever proxy there offers it
 * by https, and a way in for the test. Prints the accounts once all is up; ends with its standard input.
 */
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'

import { openAccounts } from './accounts.ts'
import { JetstreamRelay } from './jetstream.ts'
import { TestPds } from './pds.ts'
import { PlcDirectory } from './plc.ts'
import { worldNames, worldPorts } from './world-names.ts'

const [folder = '', doorSocket = '', clientAddress = ''] = process.argv.slice(2)

/** An HTTP proxy (CONNECT) on a socket in the file system, which namespaces share: whoever asks there is `clientAddress`. */
const door = http.createServer((_, response) => response.writeHead(405).end())
door.on('connect', ({ url = '' }, client: net.Socket, head: Buffer) => {
  const [host = '', port = ''] = url.split(':')
  const socket = net.connect({ host, port: Number(port), localAddress: clientAddress, family: 4 })
  socket.once('connect', () => {
    client.write('HTTP/1.1 200 Connection established\r\n\r\n')
    socket.write(head)
    socket.pipe(client).pipe(socket)
  })
  socket.on('error', () => client.destroy())
  client.on('error', () => socket.destroy())
})
await new Promise<void>((resolve) => {
  door.listen(doorSocket, resolve)
})

const plc = await PlcDirectory.start({ file: join(folder, 'plc.json'), port: worldPorts.plc })
const pds = await TestPds.start({
  folder: join(folder, 'pds'),
  plcUrl: plc.url,
  port: worldPorts.pds,
  hostname: worldNames.pds,
})
const accounts = await openAccounts({ file: join(folder, 'accounts.json'), pdsUrl: pds.url })
const jetstream = await JetstreamRelay.start({ plcUrl: plc.url, port: worldPorts.jetstream })
jetstream.follow('pds', `https://${worldNames.pds}`)
console.log(JSON.stringify(accounts))
process.stdin.resume().once('end', () => process.exit())
