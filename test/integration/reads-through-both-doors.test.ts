import http from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeApiKey, parseApiKeyEntry, type ApiKey } from '../../src/config/api-keys.ts';
import { createParts, loadTheRest, type Parts } from '../../src/parts.ts';
import { loadConfig } from '../../src/config/load.ts';
import { listen, type Listener } from '../../src/http/server.ts';
import { whenReady } from '../../src/store/redis/connection.ts';
import { revokeAuthorization } from '../../src/store/authorizers/authorization.ts';
import { authorize, AUTHORIZED } from '../kit/authorizers.ts';
import { collectLog, type LogLine } from '../kit/logs.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  platformEnv,
  type TestPlatform,
} from '../kit/platform.ts';

/** A read of a credential is answered, counted and told alike before Express and by it. */

const ELSEWHERE = 'wx00000000000000ff';
const TOKEN = `/v1/credentials/component_access_token/${COMPONENT.appid}`;
const CODE = `/v1/credentials/pre_auth_code/${COMPONENT.appid}`;
const OF_AUTHORIZER = `/v1/credentials/authorizer_access_token/${AUTHORIZED.subject.replace(':', '/')}`;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;

const KEYS = {
  all: makeApiKey('all', 'credentials:read'),
  here: makeApiKey('here', `credentials:read@${COMPONENT.appid}`),
  elsewhere: makeApiKey('elsewhere', `credentials:read@${ELSEWHERE}`),
  admin: makeApiKey('admin', 'admin'),
  watcher: makeApiKey('watcher', 'status:read'),
};
const NEXT = makeApiKey('next', 'credentials:read');

interface Answer {
  status: number | undefined;
  /** Names as they were sent, and in their order. */
  headers: string[];
  body: string;
}

let platform: TestPlatform;
let parts: Parts;
let listeners: Listener[];
let ports: { front: number; express: number; both: number };
let lines: LogLine[];
/** How many requests the door before Express has taken. */
let taken: number;

beforeEach(async () => {
  platform = await createTestPlatform({ startApp: false });
  const env = platformEnv(
    platform.simulator,
    platform.config.redis.url ?? '',
    platform.config.redisKeyPrefix,
  );
  const entries = Object.values(KEYS).map(({ entry }) => entry);
  const config = loadConfig({ ...env, API_KEYS: entries.join(',') });
  lines = [];
  taken = 0;
  parts = createParts(config, { clock: platform.clock, log: collectLog({ lines }).log });
  expect(await whenReady(parts.deps.store.redis, 5_000)).toBe(true);
  const internal = await loadTheRest(config, parts);
  const front = (...exchange: Parameters<typeof internal.front>) => {
    const isTaken = internal.front(...exchange);
    if (isTaken) taken += 1;
    return isTaken;
  };
  listeners = [
    await listen(internal.app, '127.0.0.1', 0, { front }),
    await listen(internal.app, '127.0.0.1', 0),
    await listen(parts.publicApp, '127.0.0.1', 0),
  ];
  const [before, behind, pushing] = listeners.map(({ port }) => port);
  ports = { front: before ?? 0, express: behind ?? 0, both: behind ?? 0 };
  const callback = `http://127.0.0.1:${pushing ?? 0}/callback/${COMPONENT.appid}`;
  platform.simulator.setCallbackUrl(COMPONENT.appid, callback);
});
afterEach(async () => {
  await Promise.all(listeners.map((one) => one.close(0)));
  await parts.keeper.stop();
  await parts.reconciler.stop();
  parts.deps.store.redis.disconnect();
  await platform.close();
});

const settle = () => parts.keeper.idle();

async function begin(): Promise<void> {
  expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
  await settle();
}

function ask(port: number, path: string, headers: http.OutgoingHttpHeaders, method = 'GET') {
  return new Promise<Answer>((resolve, reject) => {
    const request = http.request({ port, path, method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => {
        const { statusCode: status, rawHeaders } = response;
        // The only header that says when.
        const at = rawHeaders.indexOf('Date');
        const sent = rawHeaders.filter((_one, index) => index !== at + 1);
        resolve({ status, headers: sent, body: body.replace(UUID, 'UUID') });
      });
    });
    request.on('error', reject).end();
  });
}

/** What was counted of reads and of requests for credentials so far. */
async function counted(): Promise<Map<string, number>> {
  const authorization = `Bearer ${KEYS.admin.key}`;
  const { body } = await ask(ports.both, '/metrics', { authorization });
  const wanted =
    /^(wxkeeper_(?:credential_reads_total|http_request(?:s_total|_duration_seconds_count)){.*}) (\d+)$/gm;
  const samples = [...body.matchAll(wanted)].map(
    ([, name = '', value]) => [name, Number(value)] as const,
  );
  return new Map(samples.filter(([name]) => !name.includes('/metrics')));
}

/** What one door makes of a request: its answer, its lines in the log, and what it counts. */
async function through(door: 'front' | 'express', ...asked: [string, http.OutgoingHttpHeaders]) {
  const before = await counted();
  const from = lines.length;
  const answer = await ask(ports[door], ...asked);
  await settle();
  let counts: [string, number][] = [];
  await expect
    .poll(async () => {
      const grown = [...(await counted())].map(([name, value]): [string, number] => {
        return [name, value - (before.get(name) ?? 0)];
      });
      counts = grown.filter(([, more]) => more > 0).sort();
      return counts.length;
    })
    .toBeGreaterThanOrEqual(answer.status === 401 ? 2 : 3);
  const told = lines.slice(from).filter(({ room }) => room === 'http' || room === 'audit');
  const log = told.map((line) => ({ ...line, time: undefined, request_id: undefined }));
  return { answer, counts, log };
}

/** Asks at both doors, which must not differ. @param isUsual whether the front shall have taken it */
async function askBoth(path: string, key: string, isUsual: boolean, headers = {}): Promise<Answer> {
  const all = { ...(key !== '' && { authorization: `Bearer ${key}` }), ...headers };
  const sofar = taken;
  const front = await through('front', path, all);
  expect(taken - sofar, `${path} was taken before Express`).toBe(isUsual ? 1 : 0);
  const express = await through('express', path, all);
  expect(taken - sofar).toBe(isUsual ? 1 : 0);
  expect(front).toEqual(express);
  return front.answer;
}

describe('both doors', () => {
  it('answer a live value, and 304 to whoever has it', async () => {
    await begin();
    const { headers, body } = await askBoth(TOKEN, KEYS.all.key, true);
    expect(JSON.parse(body)).toMatchObject({ seq: 1, state: 'fresh', source: 'redis' });
    for (const [name, value] of [
      ['Cache-Control', 'no-store'],
      ['X-Content-Type-Options', 'nosniff'],
      ['ETag', '"1"'],
      ['Content-Type', 'application/json; charset=utf-8'],
    ] as const) {
      expect(headers[headers.indexOf(name) + 1]).toBe(value);
    }
    for (const known of ['"1"', 'W/"1"', '"7", "1"', '*']) {
      const answer = await askBoth(TOKEN, KEYS.all.key, true, { 'if-none-match': known });
      expect(answer).toMatchObject({ status: 304, body: '' });
    }
    const other = await askBoth(TOKEN, KEYS.all.key, true, { 'if-none-match': '"11", W/"2"' });
    expect(other.status).toBe(200);
  });

  it('let in the same keys, and no others', async () => {
    await begin();
    for (const key of [KEYS.all, KEYS.here, KEYS.admin]) {
      expect((await askBoth(TOKEN, key.key, true)).status).toBe(200);
    }
    for (const { key } of [KEYS.elsewhere, KEYS.watcher]) {
      expect((await askBoth(TOKEN, key, false)).status).toBe(403);
    }
    for (const key of ['', makeApiKey('all', 'admin').key]) {
      expect((await askBoth(TOKEN, key, false)).status).toBe(401);
    }
  });

  it('know at once that the keys were replaced', async () => {
    await begin();
    expect((await askBoth(TOKEN, KEYS.all.key, true)).status).toBe(200);
    expect((await askBoth(TOKEN, NEXT.key, false)).status).toBe(401);
    const next = [NEXT, KEYS.admin].map(({ entry }) => parseApiKeyEntry(entry));
    parts.keyRing.replace(next.filter((key): key is ApiKey => key !== undefined));
    expect((await askBoth(TOKEN, KEYS.all.key, false)).status).toBe(401);
    expect((await askBoth(TOKEN, NEXT.key, true)).status).toBe(200);
  });

  it('say why there is nothing', async () => {
    const none = await askBoth(TOKEN, KEYS.all.key, true);
    expect(none).toMatchObject({
      status: 503,
      body: expect.stringContaining('no_ticket') as string,
    });
    await begin();
    expect((await askBoth(OF_AUTHORIZER, KEYS.here.key, true)).status).toBe(404);
    const unknown = [
      TOKEN.replace(COMPONENT.appid, ELSEWHERE),
      `/v1/credentials/x/${COMPONENT.appid}`,
    ];
    for (const path of unknown) expect((await askBoth(path, KEYS.all.key, false)).status).toBe(404);
  });

  it('answer for authorizers, also for those that have left', async () => {
    await begin();
    await authorize(platform);
    const live = await askBoth(OF_AUTHORIZER, KEYS.here.key, true);
    expect(JSON.parse(live.body)).toMatchObject({ subject: AUTHORIZED.subject, seq: 1 });
    await revokeAuthorization(platform.store, AUTHORIZED, platform.clock.now() + 1);
    expect((await askBoth(OF_AUTHORIZER, KEYS.here.key, true)).status).toBe(410);
  });

  it('serve what is due, and what is in memory while Redis is away', async () => {
    await begin();
    const fault = { type: 'errcode', errcode: -1 } as const;
    platform.simulator.addFault({ api: 'api_component_token', times: 'forever', fault });
    await platform.pass(110 * MINUTE);
    const due = await askBoth(TOKEN, KEYS.all.key, true);
    expect(JSON.parse(due.body)).toMatchObject({ state: 'due', seq: 1 });
    parts.deps.store.redis.disconnect();
    const remembered = await askBoth(TOKEN, KEYS.all.key, true);
    expect(JSON.parse(remembered.body)).toMatchObject({ source: 'memory', seq: 1 });
    expect((await askBoth(OF_AUTHORIZER, KEYS.all.key, true)).status).toBe(503);
  });

  it.each([`${TOKEN}?`, `${TOKEN}?x=1`, `${TOKEN}/`, TOKEN.replace('wx', '%77x')])(
    'are one for %s',
    async (path) => {
      await begin();
      expect((await askBoth(path, KEYS.all.key, false)).status).toBe(200);
    },
  );

  it('leave codes that work once, and HEAD, to Express', async () => {
    await begin();
    const headers = { authorization: `Bearer ${KEYS.all.key}` };
    const { status } = await ask(ports.front, TOKEN, headers, 'HEAD');
    const head = await ask(ports.front, CODE, headers, 'HEAD');
    const etag = head.headers[head.headers.indexOf('ETag') + 1];
    const code = await ask(ports.front, CODE, { ...headers, 'if-none-match': etag });
    // Whoever guesses its number is not told that he has it: it would be lost.
    expect([status, head.status, code.status]).toEqual([200, 200, 200]);
    expect(JSON.parse(code.body)).toMatchObject({ seq: 1 });
    expect(taken).toBe(0);
    await settle();
  });
});
