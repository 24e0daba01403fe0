import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import express, { type Express, type Response } from 'express';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Cut } from '../../src/http/connections.ts';
import { listen, type Front, type Limits, type Listener } from '../../src/http/server.ts';
import { createTestPlatform, type TestPlatform } from '../kit/platform.ts';

/** So long that nothing but the limit under test can have ended a connection. */
const NEVER = 600_000;
const LONG: Partial<Limits> = {
  headersMs: NEVER,
  requestMs: NEVER,
  idleMs: NEVER,
  silenceMs: NEVER,
  sendMs: NEVER,
  checkMs: 20,
};
const SHORT_MS = 200;
/** More than the kernel keeps for a client that reads nothing. */
const LARGE = Buffer.alloc(12 * 2 ** 20, 'a');
const WAITING = { timeout: 20_000, interval: 10 };

interface Door {
  listener: Listener;
  port: number;
  /** The server's ends of all connections that asked for something. */
  sockets: Set<Socket>;
  cuts: Cut[];
  /** Answers to `/wait`, which the test gives. */
  held: Response[];
}

const doors: Door[] = [];
const clients: Socket[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await Promise.all(doors.splice(0).map(({ listener }) => listener.close(0)));
});

/** What serves the requests: the application, or what is asked before it. */
const SERVED_BY = ['Express', 'the front'] as const;

/** A listener with the given limits and none besides. */
async function open(
  limits: Partial<Limits>,
  servedBy: (typeof SERVED_BY)[number] = 'Express',
): Promise<Door> {
  const sockets = new Set<Socket>();
  const cuts: Cut[] = [];
  const held: Response[] = [];
  const app: Express = express();
  app.use((request, _response, next) => {
    sockets.add(request.socket);
    next();
  });
  app.get('/large', (_request, response) => void response.send(LARGE));
  app.get('/wait', (_request, response) => void held.push(response));
  app.use((_request, response) => void response.send('ok'));
  const front: Front = (request, response) => {
    if (servedBy === 'Express') return false;
    sockets.add(request.socket);
    response.end(request.url === '/large' ? LARGE : 'ok');
    return true;
  };
  const listener = await listen(app, '127.0.0.1', 0, {
    front,
    limits: { ...LONG, ...limits },
    onCut: (cut) => void cuts.push(cut),
  });
  const door = { listener, port: listener.port, sockets, cuts, held };
  doors.push(door);
  return door;
}

/** A client that sends this and reads nothing unless it is told to. */
function connect(port: number, text = ''): Socket {
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  clients.push(client);
  client.on('error', () => undefined);
  if (text !== '') client.write(text);
  return client;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

/** Reads to the end. */
async function textOf(client: Socket): Promise<string> {
  let text = '';
  client.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  if (client.readableEnded) client.end();
  client.once('end', () => client.end());
  // A reset is an end as well: bytes that nobody has read were on their way.
  client.on('error', () => undefined);
  if (!client.closed) await new Promise((resolve) => client.once('close', resolve));
  return text;
}

/** Resolves with what was received once it holds this many answers. */
async function answers(client: Socket, count: number): Promise<string> {
  let text = '';
  client.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  await vi.waitFor(() => {
    expect(text.split('HTTP/1.1 ')).toHaveLength(count + 1);
  }, WAITING);
  return text;
}

const allClosed = (door: Door, count: number) =>
  vi.waitFor(() => {
    expect([...door.sockets].filter((one) => one.closed)).toHaveLength(count);
  }, WAITING);

describe.each(SERVED_BY)('row 142: answers of %s that nobody reads', (servedBy) => {
  it('end the connection within their time, and others are served meanwhile', async () => {
    const door = await open({ sendMs: SHORT_MS }, servedBy);
    for (let count = 0; count < 20; count += 1) connect(door.port, get('/large').repeat(3));
    await vi.waitFor(() => expect(door.sockets.size).toBe(20), WAITING);
    const other = await fetch(`http://127.0.0.1:${door.port}/`);
    expect(await other.text()).toBe('ok');
    await vi.waitFor(
      () => expect(door.cuts.filter((cut) => cut === 'unread')).toHaveLength(20),
      WAITING,
    );
    await allClosed(door, 20);
  });

  it('nor do those hold it that are read drop by drop', async () => {
    const door = await open({ sendMs: SHORT_MS }, servedBy);
    const client = connect(door.port, get('/large').repeat(3));
    const reading = setInterval(() => void client.read(), 20);
    await vi.waitFor(() => expect(door.cuts).toEqual(['unread']), WAITING);
    clearInterval(reading);
    await allClosed(door, 1);
  });

  it('are not those of a client that sends much at once and reads', async () => {
    const door = await open({ sendMs: SHORT_MS }, servedBy);
    const client = connect(door.port, get('/').repeat(300));
    await answers(client, 300);
    expect(door.cuts).toEqual([]);
    expect(client.destroyed).toBe(false);
  });

  it('end with the number of requests that one connection may bring', async () => {
    const door = await open({ maxRequestsPerConnection: 5 }, servedBy);
    const text = await textOf(connect(door.port, get('/').repeat(50)));
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(5);
    expect(text.match(/^Connection: close/gm)).toHaveLength(1);
  });
});

describe('row 142: answers that are not there yet', () => {
  it('are not those that nobody reads', async () => {
    const door = await open({ sendMs: SHORT_MS });
    const slow = fetch(`http://127.0.0.1:${door.port}/wait`);
    await vi.waitFor(() => expect(door.held).toHaveLength(1), WAITING);
    // Until a client that came later has been cut for its own.
    connect(door.port, get('/large'));
    await vi.waitFor(() => expect(door.cuts).toEqual(['unread']), WAITING);
    door.held[0]?.send('at last');
    expect(await (await slow).text()).toBe('at last');
  });
});

describe('row 142: doors held open in other ways', () => {
  const post = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n';

  it.each([
    ['nothing', '', ''],
    ['a head without an end', 'GET / HTTP/1.1\r\nX-A: ', 'a'],
    ['empty lines', '', '\r\n'],
    ['a body that stays away', `${post}half`, ''],
    ['a body byte by byte', post.replace('9', '99'), 'a'],
    [
      'chunks without an end',
      `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`,
      '1',
    ],
  ])('%s: ends', async (_what, first, dripping) => {
    const door = await open({ headersMs: SHORT_MS, requestMs: SHORT_MS });
    const client = connect(door.port, first);
    const drip = setInterval(
      () => dripping !== '' && client.writable && client.write(dripping),
      20,
    );
    await textOf(client);
    clearInterval(drip);
    expect(door.cuts).toEqual(['too_slow']);
  });

  it('an answer to nothing at all would be taken for another one, and is not sent', async () => {
    const door = await open({ headersMs: SHORT_MS, requestMs: SHORT_MS });
    expect(await textOf(connect(door.port))).toBe('');
    expect(await textOf(connect(door.port, 'GET /'))).toMatch(/^HTTP\/1\.1 408 /);
  });

  it.each([
    ['silence', ''],
    ['empty lines', '\r\n'],
  ])('%s after an answer: ends', async (_what, dripping) => {
    const door = await open({ idleMs: SHORT_MS });
    const client = connect(door.port, get('/'));
    let [last, longest] = [performance.now(), 0];
    const drip = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
      if (dripping !== '' && client.writable) client.write(dripping);
    }, 20);
    expect(await textOf(client)).toMatch(/^HTTP\/1\.1 200 /);
    clearInterval(drip);
    // On a machine that stood still for a second it was silence after all, which Node ends by itself.
    const wasSilent = dripping === '' || longest >= 1_000;
    expect(door.cuts).toEqual(wasSilent ? [] : ['idle']);
  });

  it('half a head after an answer ends as the first one does', async () => {
    const door = await open({ headersMs: SHORT_MS, requestMs: SHORT_MS });
    const client = connect(door.port, get('/'));
    await answers(client, 1);
    client.write('GET / HTTP/1.1\r\n');
    await textOf(client);
    expect(door.cuts).toEqual(['too_slow']);
  });

  it('a client that has half-closed is answered, and gone', async () => {
    const door = await open({});
    const client = connect(door.port, get('/'));
    client.end();
    expect(await textOf(client)).toMatch(/^HTTP\/1\.1 200 /);
    await allClosed(door, 1);
  });

  it('nobody is given another protocol, or a tunnel', async () => {
    const door = await open({ idleMs: SHORT_MS });
    const upgrade =
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    expect(await textOf(connect(door.port, upgrade))).toMatch(/^HTTP\/1\.1 200 /);
    const tunnel = 'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n';
    expect(await textOf(connect(door.port, tunnel))).toBe('');
  });

  it('an answer that is never made ends with the silence', async () => {
    const door = await open({ silenceMs: SHORT_MS });
    expect(await textOf(connect(door.port, get('/wait')))).toBe('');
  });
});

describe('row 142: when every connection is in use', () => {
  it('the one that has waited longest for its client makes room', async () => {
    const door = await open({ maxConnections: 9 });
    const silent = connect(door.port);
    await once(silent, 'connect');
    for (let count = 0; count < 8; count += 1) {
      const idle = connect(door.port, get('/'));
      await answers(idle, 1);
    }
    expect(door.cuts).toEqual([]);
    const answer = await fetch(`http://127.0.0.1:${door.port}/`, {
      headers: { connection: 'close' },
    });
    expect(await answer.text()).toBe('ok');
    expect(door.cuts).toEqual(['made_room']);
    expect(await textOf(silent)).toBe('');
  });

  it('those that are being answered stay, and whoever comes then is refused and counted', async () => {
    const door = await open({ maxConnections: 4 });
    const waiting: Socket[] = [];
    while (waiting.length < 4) {
      waiting.push(connect(door.port, get('/wait')));
      await vi.waitFor(() => expect(door.held).toHaveLength(waiting.length), WAITING);
    }
    expect(await textOf(connect(door.port, get('/')))).toBe('');
    expect(door.cuts).toEqual(['full']);
    for (const response of door.held) response.send('answered');
    for (const client of waiting) expect(await answers(client, 1)).toMatch(/answered$/);
    expect(await (await fetch(`http://127.0.0.1:${door.port}/`)).text()).toBe('ok');
  });
});

describe('row 110: idle connections', () => {
  it.each(['public', 'internal'] as const)('live 75 seconds at the %s listener', async (name) => {
    const platform = await createTestPlatform();
    const port = name === 'public' ? platform.app.publicPort() : platform.app.internalPort();
    const text = await answers(connect(port, get('/livez')), 1);
    expect(text).toMatch(/^Keep-Alive: timeout=75(?:, max=1000)?\r$/m);
    await platform.close();
  });

  it('live a second longer than they say, for who sends in the last moment', async () => {
    const door = await open({ idleMs: 75_000 });
    await answers(connect(door.port, get('/')), 1);
    const [socket] = door.sockets;
    await vi.waitFor(() => expect(socket?.timeout).toBe(76_000), WAITING);
  });
});

describe('row 111: a listener that ends', () => {
  it('serves on when it is retired, and keeps no connection', async () => {
    const door = await open({});
    const kept = connect(door.port, get('/'));
    await answers(kept, 1);
    const waiting = connect(door.port, get('/wait'));
    await vi.waitFor(() => expect(door.held).toHaveLength(1), WAITING);
    door.listener.retire();
    kept.write(get('/'));
    expect(await textOf(kept)).toMatch(/^Connection: close\r$/m);
    expect(await textOf(connect(door.port, get('/')))).toMatch(/^Connection: close\r$/m);
    door.held[0]?.send('late');
    expect(await textOf(waiting)).toMatch(/^Connection: close\r$[^]*late$/m);
  });

  it('waits for open requests, and not for the connections that brought them', async () => {
    const door = await open({});
    const idle = connect(door.port, get('/'));
    await answers(idle, 1);
    const waiting = connect(door.port, get('/wait'));
    await vi.waitFor(() => expect(door.held).toHaveLength(1), WAITING);
    const closed = door.listener.close(NEVER);
    expect(await textOf(idle)).toBe('');
    door.held[0]?.write('begun, ');
    door.held[0]?.end('and ended');
    expect(await textOf(waiting)).toMatch(/begun, [^]*and ended/);
    await closed;
  });

  it('cuts what is still open when its time is up', async () => {
    const door = await open({});
    const waiting = connect(door.port, get('/wait'));
    await vi.waitFor(() => expect(door.held).toHaveLength(1), WAITING);
    await door.listener.close(SHORT_MS);
    expect(await textOf(waiting)).toBe('');
  });
});

describe('row 142: a hundred requests on each of many connections, and no answer is read', () => {
  const MANY = 30;

  it('pushes are served meanwhile, and it is counted and told', async () => {
    const platform: TestPlatform = await createTestPlatform({
      limits: { ...LONG, maxConnections: MANY },
    });
    const requests = get('/livez').repeat(100);
    const held = Array.from({ length: MANY }, () => connect(platform.app.publicPort(), requests));
    await vi.waitFor(() => expect(held.every((one) => one.bytesRead > 0)).toBe(true), WAITING);
    for (let count = 0; count < 3; count += 1) {
      expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
    }
    await vi.waitFor(() => {
      const told = platform.logs.find((line) => line.message === 'connections were refused or cut');
      expect(told).toMatchObject({ level: 'warn', listener: 'public', mostly_from: '127.0.0.1' });
    }, WAITING);
    const metrics = await (await platform.internal('/metrics')).text();
    expect(metrics).toMatch(
      /^wxkeeper_http_connections_cut_total\{listener="public",reason="made_room"\} [1-9]/m,
    );
    await platform.close();
  });
});
