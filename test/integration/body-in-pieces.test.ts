import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import v8 from 'node:v8';
import vm from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPublicApp } from '../../src/http/public/app.ts';
import type { ArrivedPush, Receiver } from '../../src/callbacks/receiver.ts';
import { collectUnmasked } from '../kit/logs.ts';

/** Bodies that come byte by byte, as slow proxies may send them and strangers do on purpose. */

const PATH = '/callback/wx0123456789abcdef';
const BYTES = 60_000;

let server: http.Server;
let accepted: Socket[];
let arrived: ArrivedPush[];

beforeEach(async () => {
  [accepted, arrived] = [[], []];
  const { log } = collectUnmasked();
  const receiver: Receiver = {
    knows: () => true,
    begin: () => 0,
    echo: () => '',
    receive(push) {
      arrived.push(push);
      return Promise.resolve({ type: 'text/plain', body: 'success' });
    },
  };
  server = http.createServer(createPublicApp(receiver, log));
  server.on('connection', (socket) => accepted.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Sends bytes as they are; resolves when the server has taken all of them. */
async function send(text: string): Promise<Socket> {
  const { port } = server.address() as AddressInfo;
  const before = accepted.length;
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => undefined).write(text);
  await until(() => (accepted[before]?.bytesRead ?? 0) >= text.length);
  return socket;
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const head = `POST ${PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`;
const pieces = (text: string) => text.replace(/./g, '1\r\n$&\r\n');

function heapAfterCollection(): number {
  v8.setFlagsFromString('--expose-gc');
  (vm.runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

describe('a body that comes byte by byte', () => {
  it('is whole in the end', async () => {
    const text = Array.from({ length: 5_000 }, (_, index) => String(index % 10)).join('');
    const socket = await send(`${head}${pieces(text)}0\r\n\r\n`);
    await until(() => arrived.length === 1);
    expect(arrived[0]?.body.toString()).toBe(text);
    socket.destroy();
  });

  it('keeps no more memory than it has bytes, for as long as it is not whole', async () => {
    const unfinished = `${head}${pieces('a'.repeat(BYTES))}`;
    (await send(unfinished)).destroy();
    const before = heapAfterCollection();
    const sockets = [await send(unfinished), await send(unfinished), await send(unfinished)];
    // The pieces themselves would take more than 100 bytes each.
    expect(heapAfterCollection() - before).toBeLessThan(BYTES * sockets.length * 10);
    for (const socket of sockets) socket.destroy();
  });

  it.each([
    ['without a length', `${head}${pieces('a'.repeat(65_537))}`],
    ['with one', `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n`],
  ])('is refused when it is too large, %s', async (_what, text) => {
    const socket = await send(text);
    const answer = await new Promise((resolve) => socket.once('data', resolve));
    expect(String(answer)).toContain('413 Payload Too Large');
    socket.destroy();
  });

  it('of exactly the largest size is taken', async () => {
    const text = 'b'.repeat(65_536);
    const socket = await send(
      `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    );
    await until(() => arrived.length === 1);
    expect(arrived[0]?.body.toString()).toBe(text);
    socket.destroy();
  });

  it('is no push when its sender has hung up in the middle of it', async () => {
    const socket = await send(`${head}${pieces('abc')}`);
    const [taken] = accepted;
    socket.destroy();
    await until(() => taken?.destroyed === true);
    expect(arrived).toEqual([]);
  });
});
