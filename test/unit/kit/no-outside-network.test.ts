import dns, { lookup } from 'node:dns';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import net, { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { isOnThisMachine, takeRefusals } from '../../kit/no-outside-network.ts';

// TEST-NET-1 and its IPv6 sister: addresses that belong to nobody.
const OUTSIDE = '192.0.2.1';
const OUTSIDE_IPV6 = '2001:db8::1';

const servers: net.Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(...where: [string] | [number, string]): Promise<net.Server> {
  const server = http.createServer((_request, response) => response.end('hello'));
  servers.push(server);
  if (where.length === 1) server.listen(where[0]);
  else server.listen(...where);
  await once(server, 'listening');
  return server;
}

const portOf = (server: net.Server) => (server.address() as net.AddressInfo).port;

/** Expects the attempt to have been refused, in these words, and keeps the test from failing. */
function expectRefusal(what: string): void {
  const messages = takeRefusals().map((error) => error.message);
  expect(messages).toContain(`this test tried to ${what}, which is not on this machine`);
}

describe('connections elsewhere', () => {
  it.each([
    ['net.connect with options', () => net.connect({ host: OUTSIDE, port: 80 })],
    ['net.connect with a port and a host', () => connect(80, OUTSIDE)],
    ['net.createConnection', () => net.createConnection({ host: OUTSIDE, port: 443 })],
    ['Socket.connect', () => new net.Socket().connect(80, OUTSIDE)],
    ['http.get', () => http.get(`http://${OUTSIDE}/`)],
    ['https.get', () => https.get(`https://${OUTSIDE}/`)],
  ])('are refused through %s', async (_name, attempt) => {
    const [error] = (await once(attempt(), 'error').catch((thrown: unknown) => [thrown])) as [
      Error,
    ];
    expect(error.message).toContain(OUTSIDE);
    expectRefusal(`connect to ${OUTSIDE}`);
  });

  it.each([
    [`http://${OUTSIDE}/`, OUTSIDE],
    [`http://[${OUTSIDE_IPV6}]:8080/`, OUTSIDE_IPV6],
    ['https://api.weixin.qq.com/cgi-bin/component/api_component_token', 'api.weixin.qq.com'],
  ])('are refused through fetch of %s', async (url, host) => {
    await expect(fetch(url)).rejects.toThrow('fetch failed');
    expectRefusal(`connect to ${host}`);
  });

  it('are refused through ioredis', async () => {
    const redis = new Redis({ host: OUTSIDE, retryStrategy: null, lazyConnect: true });
    redis.on('error', () => undefined);
    await expect(redis.connect()).rejects.toThrow();
    expectRefusal(`connect to ${OUTSIDE}`);
  });

  it.fails('fail the test even when the error is swallowed', async () => {
    await fetch(`http://${OUTSIDE}/`).catch(() => undefined);
  });
});

describe('names', () => {
  it('are not looked up', async () => {
    const named = promisify(lookup);
    await expect(named('example.com')).rejects.toThrow('look up example.com');
    await expect(dns.promises.lookup('example.com')).rejects.toThrow('look up example.com');
    await expect(dns.promises.resolve4('example.com')).rejects.toThrow('look up example.com');
    await expect(promisify(dns.resolveTxt)('example.com')).rejects.toThrow('look up example.com');
    const resolver = new dns.promises.Resolver();
    await expect(resolver.resolve('localhost')).rejects.toThrow('look up localhost');
    expect(takeRefusals()).toHaveLength(5);
  });

  it('are looked up when they are localhost', async () => {
    const { address } = await dns.promises.lookup('localhost');
    expect(isOnThisMachine(address)).toBe(true);
  });

  it.each([
    '127.0.0.1',
    '127.255.3.4',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
    'localhost',
    'LOCALHOST',
  ])('know %s as this machine', (host) => {
    expect(isOnThisMachine(host)).toBe(true);
  });

  it.each(['128.0.0.1', '10.0.0.1', '0.0.0.0', '::', '::ffff:10.0.0.1', 'localhost.example.com'])(
    'know %s as elsewhere',
    (host) => {
      expect(isOnThisMachine(host)).toBe(false);
    },
  );
});

describe('connections to this machine', () => {
  it('work over loopback, by number and by name', async () => {
    const port = portOf(await listen(0, '127.0.0.1'));
    for (const host of ['127.0.0.1', 'localhost']) {
      const answer = await fetch(`http://${host}:${port}/`, { headers: { connection: 'close' } });
      expect(await answer.text()).toBe('hello');
    }
    const socket = connect(port);
    await once(socket, 'connect');
    socket.destroy();
  });

  it('work over a unix socket', async () => {
    const path = join(tmpdir(), `wxkeeper-test-${process.pid}.sock`);
    await listen(path);
    for (const open of [() => connect(path), () => connect({ path })]) {
      const socket = open();
      await once(socket, 'connect');
      socket.destroy();
    }
    await rm(path, { force: true });
  });
});
