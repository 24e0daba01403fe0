import dns from 'node:dns';
import { createServer, type AddressInfo, type Server } from 'node:net';
import http from 'node:http';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { sendRequest, HttpClientError, MAX_ANSWER_BYTES } from '../../src/lib/http-client.ts';
import { createManualClock } from '../kit/clock.ts';

/** A name that a test may look up; what it stands for is up to each test. */
const NAME = 'localhost';

function resolvesTo(...addresses: string[]) {
  return vi.spyOn(dns, 'lookup').mockImplementation((_name: string, ...rest: unknown[]) => {
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    process.nextTick(rest.at(-1) as (error: null, found: dns.LookupAddress[]) => void, null, found);
  });
}

const ask = (port: number, clock = systemClock, signal = AbortSignal.timeout(8_000)) =>
  sendRequest(
    new URL(`http://${NAME}:${port}/`),
    Buffer.from('{}'),
    clock,
    signal,
    MAX_ANSWER_BYTES,
  );

/**
 * A server whose queue of connections is full, so that the kernel drops whoever wants in and the client
 * knocks again after a second: what a far and busy host looks like, made of real sockets.
 */
const BUSY = `
const { parentPort, workerData } = require('node:worker_threads');
const gate = new Int32Array(workerData);
let requests = 0;
const server = require('node:http').createServer((request, response) => {
  if (request.method !== 'POST') return response.end(String(requests));
  requests += 1;
  response.end('late');
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
  parentPort.postMessage(server.address().port);
  setImmediate(() => Atomics.wait(gate, 0, 0));
});
`;

async function busyServer() {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(BUSY, { eval: true, workerData: gate.buffer });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers: Socket[] = [];
  let refused = false;
  // Until one is not taken any more: how many fit in is the kernel's business.
  while (!refused && fillers.length < 20) {
    const filler = connect(port, '127.0.0.1');
    filler.on('error', () => undefined);
    fillers.push(filler);
    refused = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(true), 200);
      filler.once('connect', () => {
        clearTimeout(timer);
        resolve(false);
      });
    });
  }
  expect(refused).toBe(true);
  return {
    port,
    open() {
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
    },
    async close() {
      for (const one of fillers) one.destroy();
      await worker.terminate();
    },
  };
}

async function listen(server: Server | http.Server, host: string, port = 0): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe('row 121: a name with several addresses', () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    vi.restoreAllMocks();
    for (const end of ends.splice(0)) await end();
  });

  it('waits for the one that needs a second, though the other one refuses', async () => {
    const busy = await busyServer();
    ends.push(() => busy.close());
    resolvesTo('127.0.0.1', '127.0.0.2');
    const answer = ask(busy.port);
    // The first knock was dropped by now; the next one comes a second later.
    setTimeout(() => busy.open(), 300);
    expect(await answer).toMatchObject({ status: 200, body: 'late' });
  });

  it('does not wait for one that is silent when another one answers', async () => {
    const busy = await busyServer();
    const good = http.createServer((_request, response) => response.end('there'));
    await listen(good, '127.0.0.2', busy.port);
    ends.push(
      () => good.close(),
      () => busy.close(),
    );
    resolvesTo('127.0.0.1', '127.0.0.2');
    expect(await ask(busy.port)).toMatchObject({ status: 200, body: 'there' });
    busy.open();
    // Nothing was ever sent to the one that was given up.
    const count = new URL(`http://127.0.0.1:${busy.port}/`);
    const never = new AbortController().signal;
    expect(await sendRequest(count, undefined, systemClock, never, 100)).toMatchObject({
      body: '0',
    });
  });

  it('asks one of them only, when all of them answer at the same moment', async () => {
    let asked = 0;
    let port = 0;
    const hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];
    for (const host of hosts) {
      const server = http.createServer((_request, response) => {
        asked += 1;
        response.end('once');
      });
      port = await listen(server, host, port);
      ends.push(() => server.close());
    }
    resolvesTo(...hosts);
    const clock = createManualClock();
    // All begun before any of them is heard of.
    const answer = ask(port, clock);
    for (let step = 0; step < 4; step += 1) await clock.advance(250, () => Promise.resolve());
    expect(await answer).toMatchObject({ body: 'once' });
    expect(asked).toBe(1);
  });

  it('goes on at once when one refuses, in both families by turns', async () => {
    const server = http.createServer((_request, response) => response.end('last'));
    const port = await listen(server, '127.0.0.4');
    ends.push(() => server.close());
    resolvesTo('127.0.0.2', '127.0.0.3', '127.0.0.4', '::1');
    // A clock that stands still: nothing is waited for.
    expect(await ask(port, createManualClock())).toMatchObject({ body: 'last' });
  });

  it('gives up when none of them takes the connection within its own 2.5 s', async () => {
    const busy = await busyServer();
    ends.push(() => busy.close());
    resolvesTo('127.0.0.1', '127.0.0.1');
    const clock = createManualClock();
    const answer = ask(busy.port, clock).catch((error: unknown) => error);
    let over = false;
    void answer.then(() => (over = true));
    const tick = () => new Promise<void>((resolve) => void setImmediate(resolve));
    await tick();
    // The second one began 250 ms after the first.
    await clock.advance(2_749, tick);
    expect(over).toBe(false);
    await clock.advance(1, tick);
    expect(await answer).toBeInstanceOf(HttpClientError);
    expect(await answer).toMatchObject({ fault: 'unreachable', sent: false });
  });

  it('is bounded by the limit of the whole call, whatever there is still to try', async () => {
    const busy = await busyServer();
    ends.push(() => busy.close());
    resolvesTo('127.0.0.1', '127.0.0.1', '127.0.0.1');
    const limit = new AbortController();
    const answer = ask(busy.port, createManualClock(), limit.signal).catch(
      (error: unknown) => error,
    );
    await new Promise((resolve) => void setImmediate(resolve));
    limit.abort();
    expect(await answer).toMatchObject({ fault: 'timeout', sent: false });
  });

  it('has no address at all, or none that is found in time', async () => {
    resolvesTo();
    await expect(ask(1)).rejects.toMatchObject({ fault: 'unreachable', sent: false });
    vi.spyOn(dns, 'lookup').mockImplementation(() => undefined);
    const clock = createManualClock();
    const answer = ask(1, clock).catch((error: unknown) => error);
    await clock.advance(2_500, () => Promise.resolve());
    expect(await answer).toMatchObject({ fault: 'unreachable', sent: false });
  });
});

it('a server of one address is reached as before', async () => {
  const server = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nplain'));
  const port = await listen(server, '127.0.0.1');
  expect(await ask(port)).toMatchObject({ status: 200, body: 'plain' });
  server.close();
});
