import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { sendRequest, type HttpAnswer } from '../../src/lib/http-client.ts';
import { createManualClock, type ManualClock } from '../kit/clock.ts';

const MINUTE = 60_000;
const file = (name: string) =>
  readFileSync(new URL(`../fixtures/tls/localhost-test-${name}.pem`, import.meta.url));

describe('calls over TLS, one after the other', () => {
  /** Of each connection that was made, whether it went on with a session of before. */
  let resumed: boolean[] = [];
  let connections = new Set<Socket>();
  let requests = 0;
  let refusing = false;
  let clock: ManualClock;
  let server: Server;
  let port = 0;

  beforeEach(async () => {
    [resumed, connections, requests, refusing] = [[], new Set(), 0, false];
    clock = createManualClock();
    trustTheTestCertificates();
    server = createServer({ key: file('key'), cert: file('cert') }, (request, response) => {
      requests += 1;
      connections.add(request.socket);
      response.end('{"errcode":0}');
    });
    server.on('connection', (socket) => {
      if (refusing) socket.destroy();
    });
    server.on('secureConnection', (socket) => resumed.push(socket.isSessionReused()));
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    server.closeAllConnections();
    server.close();
  });

  const call = (host = 'localhost'): Promise<HttpAnswer> =>
    sendRequest(
      new URL(`https://${host}:${port}/any`),
      Buffer.from('{"secret":1}'),
      clock,
      new AbortController().signal,
      1_000,
    );
  const failure = (host?: string) => call(host).catch((error: unknown) => error);

  it('have each a connection of its own, and only the first shows its certificate', async () => {
    for (let n = 0; n < 4; n += 1) expect(await call()).toMatchObject({ status: 200 });
    expect(resumed).toEqual([false, true, true, true]);
    expect(connections.size).toBe(4);
  });

  it('have each a connection of its own at the same time, too', async () => {
    await call();
    await Promise.all(Array.from({ length: 8 }, () => call()));
    expect(resumed).toEqual([false, ...Array<boolean>(8).fill(true)]);
    expect(connections.size).toBe(9);
  });

  it('have the certificate verified anew every ten minutes, however many there are', async () => {
    for (let minute = 0; minute <= 20; minute += 1) {
      await call();
      await clock.advance(MINUTE);
    }
    expect(resumed.flatMap((one, minute) => (one ? [] : [minute]))).toEqual([0, 10, 20]);
  });

  it('do not carry over what was verified under another name', async () => {
    await call('localhost');
    await call('127.0.0.1');
    await call('localhost');
    await call('127.0.0.1');
    expect(resumed).toEqual([false, false, true, true]);
  });

  it.each(['other-name-cert', 'expired-cert'])(
    'send nothing to a server that has got a bad certificate since: %s',
    async (name) => {
      await call();
      await call();
      server.setSecureContext({ key: file('key'), cert: file(name) });
      for (let n = 0; n < 2; n += 1) {
        expect(await failure()).toMatchObject({ fault: 'unreachable', sent: false });
      }
      expect(requests).toBe(2);
      server.setSecureContext({ key: file('key'), cert: file('cert') });
      expect(await call()).toMatchObject({ status: 200 });
      expect(resumed.slice(0, 2)).toEqual([false, true]);
      expect(resumed.at(-1)).toBe(false);
    },
  );

  it('notice it within ten minutes of a server that goes on resuming, too', async () => {
    const ticketKeys = randomBytes(48);
    server.setTicketKeys(ticketKeys);
    await call();
    server.setSecureContext({ key: file('key'), cert: file('expired-cert'), ticketKeys });
    // It shows no certificate: what was verified a moment ago is still relied on.
    expect(await call()).toMatchObject({ status: 200 });
    await clock.advance(10 * MINUTE);
    expect(await failure()).toMatchObject({ fault: 'unreachable', sent: false });
    expect(requests).toBe(2);
  });

  it('are told as not sent when a connection ends before anything was written', async () => {
    await call();
    refusing = true;
    expect(await failure()).toMatchObject({ fault: 'unreachable', sent: false });
    refusing = false;
    // What has led to a broken connection is not offered again.
    await call();
    await call();
    expect(resumed).toEqual([false, false, true]);
    expect(requests).toBe(3);
  });

  it('are told as sent when a resumed connection ends without an answer', async () => {
    await call();
    server.removeAllListeners('request');
    server.on('request', (request) => request.socket.destroy());
    expect(await failure()).toMatchObject({ sent: true });
    expect(resumed).toEqual([false, true]);
  });
});

/** As if the machine had them among its authorities. */
function trustTheTestCertificates(): void {
  const real = tls.createSecureContext;
  const ca = ['cert', 'expired-cert', 'other-name-cert'].map(file);
  vi.spyOn(tls, 'createSecureContext').mockImplementation((options) =>
    // The server's own contexts come with a certificate.
    options?.cert === undefined ? real({ ...options, ca }) : real(options),
  );
}
