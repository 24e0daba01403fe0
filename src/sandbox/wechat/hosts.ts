import { createServer, type Server } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { isLoopback } from './options.ts';
import type { Handler, Host, World } from './model.ts';

/** Opens all hosts; after a stop, again on the ports they had. */
export async function openHosts(world: World, handler: Handler): Promise<void> {
  const { settings, hosts } = world;
  for (let index = 0; index < settings.hosts; index += 1) {
    if (hosts[index] !== undefined) {
      await reviveHost(world, index);
      continue;
    }
    const wanted = settings.port === 0 ? 0 : settings.port + index;
    const server = await listen(world, wanted, handler, index);
    const { port } = server.address() as AddressInfo;
    const name = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
    hosts.push({ index, port, url: `http://${name}:${port}`, handler, server });
  }
}

/** From now on connections are refused; open ones are cut. */
export async function killHost(world: World, index: number): Promise<void> {
  const host = hostAt(world, index);
  const { server } = host;
  if (server === undefined) return;
  host.server = undefined;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

export async function reviveHost(world: World, index: number): Promise<void> {
  const host = hostAt(world, index);
  host.server ??= await listen(world, host.port, host.handler, index);
}

/** @throws RangeError */
export function hostAt(world: World, index: number): Host {
  const host = world.hosts[index];
  if (host === undefined) throw new RangeError(`no host ${index}: there are ${world.hosts.length}`);
  return host;
}

function listen(world: World, port: number, handler: Handler, index: number): Promise<Server> {
  const { host: address } = world.settings;
  const server = createServer((incoming, response) => {
    const { url = '/', headers } = incoming;
    if (isMeant(headers.host, url, address)) {
      handler(index, incoming, response);
      return;
    }
    response.writeHead(421, { 'Content-Type': 'text/plain', Connection: 'close' });
    response.end('This is a pretended WeChat. It answers to localhost, and to addresses.\n');
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

/**
 * A page in a browser can have its own name lead to this machine, and would steer the simulator and
 * read its secrets as if it were its own server. So no names are answered to but those of this machine
 * and the one it listens on; an address cannot be made to lead elsewhere. Where other machines are
 * let in, they may know it by any name, but steer it by none.
 */
export function isMeant(host: string | undefined, url: string, listening: string): boolean {
  // HTTP/1.0 has none, and browsers speak nothing so old.
  if (host === undefined) return true;
  if (!isLoopback(listening) && !url.startsWith('/_simulator')) return true;
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([^:]*))(?::\d{1,5})?$/.exec(host) ?? [];
  const name = (bracketed ?? plain ?? '').toLowerCase().replace(/\.$/, '');
  return isIP(name) !== 0 || /^(?:.+\.)?localhost$/.test(name) || name === listening.toLowerCase();
}
