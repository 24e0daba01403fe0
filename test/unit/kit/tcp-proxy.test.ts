import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createManualClock } from '../../kit/clock.ts';
import { createTcpProxy, type Direction, type TcpProxy } from '../../kit/tcp-proxy.ts';

const POLLING = { timeout: 5_000, interval: 5 };
const BOTH: Direction[] = ['toServer', 'toClient'];

/** Answers every chunk with itself, and remembers what came and how connections ended. */
async function startEcho(greeting = '') {
  const echo = { port: 0, received: '', ends: [] as string[], sockets: new Set<Socket>() };
  const server = createServer((socket) => {
    echo.sockets.add(socket);
    socket.write(greeting);
    socket.on('data', (bytes) => {
      echo.received += String(bytes);
      socket.write(`<${String(bytes)}>`);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => echo.ends.push(String(error.code)));
    socket.on('end', () => echo.ends.push('end'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  echo.port = (server.address() as AddressInfo).port;
  const stop = () => {
    server.close();
    for (const socket of echo.sockets) socket.destroy();
  };
  return Object.assign(echo, { stop });
}

let echo: Awaited<ReturnType<typeof startEcho>>;
let proxy: TcpProxy;
const clock = createManualClock();
const clients: { socket: Socket }[] = [];

function call(port = proxy.port) {
  const socket = connect({ host: '127.0.0.1', port });
  const client = { socket, received: '', ended: undefined as string | undefined };
  socket.on('data', (bytes) => (client.received += String(bytes)));
  socket.on('error', (error: NodeJS.ErrnoException) => (client.ended ??= String(error.code)));
  socket.on('end', () => (client.ended ??= 'end'));
  clients.push(client);
  return client;
}

/** A client whose connection has carried bytes both ways already. */
async function talking() {
  const client = call();
  client.socket.write('hi');
  await becomes(() => client.received, '<hi>');
  return client;
}

async function becomes(actual: () => unknown, expected: unknown): Promise<void> {
  await vi.waitFor(() => expect(actual()).toEqual(expected), POLLING);
}

beforeEach(async () => {
  echo = await startEcho();
  proxy = await createTcpProxy({ port: echo.port }, { clock });
});
afterEach(async () => {
  await proxy.close();
  for (const { socket } of clients.splice(0)) socket.destroy();
  echo.stop();
  expect(proxy.counters()).toMatchObject({ open: 0, held: { toServer: 0, toClient: 0 } });
});

describe('without a fault', () => {
  it('passes bytes on, counts them, and passes on that a client hung up', async () => {
    const client = await talking();
    expect(proxy.url('redis')).toBe(`redis://127.0.0.1:${proxy.port}`);
    expect(proxy.counters()).toMatchObject({
      connections: 1,
      open: 1,
      cuts: 0,
      passed: { toServer: 2, toClient: 4 },
      lost: { toServer: 0, toClient: 0 },
    });
    client.socket.end();
    await becomes(() => proxy.counters().open, 0);
    expect(echo.ends).toEqual(['end']);
  });

  it('carries more than all buffers hold', async () => {
    const client = call();
    const much = 'x'.repeat(16 * 1024 * 1024);
    client.socket.write(much);
    client.socket.end();
    await becomes(() => client.ended, 'end');
    expect(echo.received.length).toBe(much.length);
    expect(client.received.replaceAll(/[<>]/g, '').length).toBe(much.length);
    await becomes(() => proxy.counters().open, 0);
  });

  it('hangs up when the server does not take the connection', async () => {
    echo.stop();
    const client = call();
    await becomes(() => client.ended, 'end');
    await becomes(() => proxy.counters().open, 0);
  });

  it('reaches a server on a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wxkeeper-proxy-'));
    const socketPath = join(folder, 's');
    const local = createServer((socket) => socket.write('local'));
    local.listen(socketPath);
    await once(local, 'listening');
    const toLocal = await createTcpProxy({ socketPath });
    try {
      const client = call(toLocal.port);
      await becomes(() => client.received, 'local');
      toLocal.reset();
      await becomes(() => toLocal.counters().open, 0);
    } finally {
      await toLocal.close();
      local.close();
      await rm(folder, { recursive: true });
    }
  });

  it('takes new connections elsewhere after a change of target', async () => {
    const other = await startEcho('other');
    const before = await talking();
    proxy.retarget({ port: other.port });
    const after = call();
    await becomes(() => after.received, 'other');
    before.socket.write('still');
    await becomes(() => before.received, '<hi><still>');
    other.stop();
  });
});

describe('a black hole', () => {
  it.each(BOTH)(
    '%s loses bytes and keeps the connection, until it is healed',
    async (direction) => {
      const client = await talking();
      proxy.blackhole(direction);
      client.socket.write('lost');
      await becomes(() => proxy.counters().lost[direction] > 0, true);
      await becomes(() => echo.received, direction === 'toServer' ? 'hi' : 'hilost');
      expect(client).toMatchObject({ received: '<hi>', ended: undefined });
      await proxy.heal();
      // A stream that went on behind a hole would be nonsense.
      await becomes(() => client.ended, 'end');
      await talking();
    },
  );

  it('takes new connections, too, and hides from either side that the other is gone', async () => {
    proxy.blackhole();
    const client = call();
    client.socket.write('lost');
    await becomes(() => proxy.counters().lost.toServer, 4);
    client.socket.destroy();
    await becomes(() => echo.sockets.size, 1);
    for (const socket of echo.sockets) socket.destroy();
    expect(echo).toMatchObject({ received: '', ends: [] });
    await proxy.heal();
    await becomes(() => proxy.counters().open, 0);
  });
});

describe('a pause', () => {
  it.each(BOTH)('%s keeps bytes back in order and gives them out at its end', async (direction) => {
    const client = await talking();
    proxy.pause(direction);
    client.socket.write('a');
    await becomes(() => proxy.counters().held[direction] > 0, true);
    client.socket.write('b');
    await becomes(() => client.received, '<hi>');
    proxy.resume(direction);
    await becomes(() => client.received.replaceAll('><', ''), '<hiab>');
    expect(proxy.counters().lost).toEqual({ toServer: 0, toClient: 0 });
  });

  it('delivers the last words of a client that has given up meanwhile', async () => {
    const client = await talking();
    proxy.pause('toServer');
    client.socket.write('ghost');
    await becomes(() => proxy.counters().held.toServer, 5);
    client.socket.destroy();
    expect(echo.received).toBe('hi');
    proxy.resume();
    await becomes(() => echo.received, 'highost');
    await becomes(() => proxy.counters().open, 0);
  });

  it('keeps no more than its limit: then the sender has to wait', async () => {
    const client = await talking();
    proxy.pause('toServer');
    const much = Buffer.alloc(64 * 1024 * 1024, 'x');
    client.socket.write(much);
    await becomes(() => proxy.counters().held.toServer > 1024 * 1024, true);
    expect(proxy.counters().held.toServer).toBeLessThan(2 * 1024 * 1024);
    expect(client.socket.writableLength).toBeGreaterThan(0);
  });
});

describe('a delay', () => {
  it('lasts as long as it should on the clock of the test', async () => {
    const client = await talking();
    proxy.delay(100, 'toClient');
    client.socket.write('a');
    await becomes(() => proxy.counters().held.toClient, 3);
    await clock.advance(99);
    client.socket.write('b');
    await becomes(() => proxy.counters().held.toClient, 6);
    await clock.advance(1);
    await becomes(() => client.received, '<hi><a>');
    await clock.advance(99);
    await becomes(() => client.received, '<hi><a><b>');
    expect(clock.pendingTimers()).toBe(0);
  });

  it('leaves no timer behind, and no bytes when it is healed', async () => {
    const client = await talking();
    proxy.delay(100);
    client.socket.write('a');
    await becomes(() => proxy.counters().held.toServer, 1);
    await proxy.heal();
    await becomes(() => client.received, '<hi><a>');
    expect(clock.pendingTimers()).toBe(0);
  });
});

describe('a cut', () => {
  it('comes after so many bytes towards the server', async () => {
    const client = await talking();
    proxy.cutAfter(3, 'toServer');
    client.socket.write('abcdef');
    await becomes(() => client.ended, 'end');
    await becomes(() => echo.received, 'hiabc');
    expect(proxy.counters()).toMatchObject({ cuts: 1, lost: { toServer: 3 } });
    await becomes(() => proxy.counters().open, 0);
    // Once only.
    await talking();
  });

  it('comes after so many bytes towards the client, and not before the next one', async () => {
    const client = await talking();
    proxy.cutAfter(3, 'toClient');
    client.socket.write('a');
    await becomes(() => client.received, '<hi><a>');
    expect(proxy.counters().cuts).toBe(0);
    client.socket.write('b');
    await becomes(() => client.ended, 'end');
    expect(echo.received).toBe('hiab');
    expect(client.received).toBe('<hi><a>');
  });

  it('instead of the next reply lets the server do what it was asked for', async () => {
    const client = await talking();
    proxy.dropNextReply();
    client.socket.write('set');
    await becomes(() => client.ended, 'end');
    expect(client.received).toBe('<hi>');
    expect(echo.received).toBe('hiset');
    await becomes(() => echo.ends, ['end']);
    expect(proxy.counters()).toMatchObject({ cuts: 1, lost: { toClient: 5 } });
  });

  it.each([
    ['cut', 'end'],
    ['reset', 'ECONNRESET'],
  ] as const)('of all connections by %s is %s for both sides', async (how, seen) => {
    const some = [await talking(), await talking()];
    proxy[how]();
    await becomes(() => some.map(({ ended }) => ended), [seen, seen]);
    await becomes(() => echo.ends, [seen, seen]);
    await becomes(() => proxy.counters().open, 0);
  });
});

it('refuses new connections only, and its port comes back', async () => {
  const old = await talking();
  proxy.refuse();
  const refused = call();
  await becomes(() => refused.ended, 'ECONNREFUSED');
  old.socket.write('still');
  await becomes(() => old.received, '<hi><still>');
  await proxy.heal();
  await talking();
  expect(old.ended).toBeUndefined();
});

it('closes although clients and faults are left', async () => {
  const client = await talking();
  proxy.delay(100);
  client.socket.write('a');
  await becomes(() => proxy.counters().held.toServer, 1);
  await proxy.close();
  await becomes(() => client.ended, 'ECONNRESET');
  expect(clock.pendingTimers()).toBe(0);
  const refused = call();
  await becomes(() => refused.ended, 'ECONNREFUSED');
});
