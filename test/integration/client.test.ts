import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createClient,
  WxkeeperError,
  type Client,
  type ClientOptions,
} from '../../src/client/client.ts';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { AUTHORIZED, authorize } from '../kit/authorizers.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  MINUTE,
  STABLE,
  type TestPlatform,
} from '../kit/platform.ts';
import { createTcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts';

/** `wxkeeper/client` as an application uses it, in front of the service and of WeChat's simulator. */

const APPLICATION = makeApiKey('shop', 'credentials:read+credentials:refresh');
const REPORTER = makeApiKey('reporter', 'credentials:refresh');
const READER = makeApiKey('reader', 'credentials:read');
const PAIR = { component: COMPONENT.appid, authorizer: AUTHORIZER };
const SEND = '/cgi-bin/message/custom/send';
const NEW_CODE = '/cgi-bin/component/api_create_preauthcode';

let platform: TestPlatform;
let network: TcpProxy;
/** What the client asked, each as `GET /path 200`; WeChat's without a query. */
let asked: string[];
let problems: WxkeeperError[];
let client: Client;

beforeEach(async () => {
  const API_KEYS = [APPLICATION, REPORTER, READER].map(({ entry }) => entry).join(',');
  platform = await createTestPlatform({ ticket: true, accounts: true, env: { API_KEYS } });
  network = await createTcpProxy({ port: platform.app.internalPort() });
  asked = [];
  problems = [];
  client = clientWith({});
});
afterEach(async () => {
  await network.close();
  await platform.close();
});

function clientWith(options: Partial<ClientOptions>): Client {
  return createClient({
    url: network.url('http'),
    key: APPLICATION.key,
    now: () => platform.clock.now(),
    onProblem: (error) => problems.push(error),
    fetch: async (url, init) => {
      const line = `${init?.method ?? 'GET'} ${addressOf(url).pathname}`;
      const at = asked.push(line) - 1;
      const response = await fetch(url, init);
      asked[at] = `${line} ${response.status}`;
      return response;
    },
    ...options,
  });
}

function addressOf(url: string | URL | Request): URL {
  return new URL(url instanceof Request ? url.url : url);
}

/** What was asked since the last look. */
const newlyAsked = () => asked.splice(0);
const READ = `GET /v1/credentials/${TOKEN.kind}/${COMPONENT.appid}`;
const REPORT = `POST /v1/credentials/${TOKEN.kind}/${COMPONENT.appid}/rejected`;
const read = () => client.get(TOKEN.kind, COMPONENT.appid);
const current = () => platform.simulator.latestMint(TOKEN.kind)?.value;
const wechat = (path: string) => `${platform.simulator.url}${path}`;

/** What comes of it, if not a value. */
async function failure(awaited: Promise<unknown>): Promise<unknown> {
  return await awaited.then(
    () => 'no error',
    (error: unknown) => error,
  );
}

/** wxkeeper cannot be reached: its machine is off. */
function away(): void {
  network.refuse();
  network.reset();
}

describe('a token', () => {
  it('is asked for once by many, kept for a minute, and then compared by its seq', async () => {
    const all = await Promise.all(Array.from({ length: 50 }, read));
    expect(new Set(all.map(({ value }) => value))).toEqual(new Set([current()]));
    expect(all[0]).toMatchObject({ kind: TOKEN.kind, subject: COMPONENT.appid, seq: 1 });
    await platform.pass(59_000);
    const later = await read();
    expect(later.expiresInSeconds).toBe((all[0]?.expiresInSeconds ?? 0) - 59);
    expect(newlyAsked()).toEqual([`${READ} 200`]);
    await platform.pass(1_000);
    await Promise.all([read(), read()]);
    await read();
    expect(newlyAsked()).toEqual([`${READ} 304`]);
  });

  it('is the next one at most five seconds after wxkeeper has replaced it', async () => {
    await platform.skip(104 * MINUTE);
    await read();
    newlyAsked();
    let lag = 0;
    for (let second = 0; second < 15 * 60; second += 1) {
      await platform.pass(1_000);
      lag = (await read()).value === current() ? 0 : lag + 1;
      expect(lag).toBeLessThan(5);
    }
    expect((await read()).seq).toBe(2);
    expect(newlyAsked().filter((line) => line.endsWith(' 200'))).toHaveLength(1);
  });

  it('is asked for again when the clock was set back, or when the value is about to end', async () => {
    await read();
    platform.clock.jumpWallClock(-MINUTE);
    await read();
    expect(newlyAsked()).toEqual([`${READ} 200`, `${READ} 304`]);
    platform.clock.jumpWallClock(121 * MINUTE - 5_000);
    await read();
    expect(newlyAsked()).toEqual([`${READ} 200`]);
  });

  it('of an authorizer is named by both appids, as a pair or joined', async () => {
    await authorize(platform);
    const one = await client.get(AUTHORIZED.kind, PAIR);
    const other = await client.get(AUTHORIZED.kind, `${COMPONENT.appid}:${AUTHORIZER}`);
    expect(other).toEqual(one);
    expect(newlyAsked()).toHaveLength(1);
    expect(one).toMatchObject({ subject: AUTHORIZED.subject });
  });

  it('that was used longest ago goes when too many are kept', async () => {
    client = clientWith({ maxKept: 2 });
    for (const kind of ['access_token', 'jsapi_ticket']) await client.get(kind, STABLE.appid);
    await client.get('access_token', STABLE.appid);
    await client.get('wx_card_ticket', STABLE.appid);
    newlyAsked();
    await client.get('access_token', STABLE.appid);
    await client.get('wx_card_ticket', STABLE.appid);
    expect(newlyAsked()).toEqual([]);
    await client.get('jsapi_ticket', STABLE.appid);
    expect(newlyAsked()).toHaveLength(1);
  });
});

it('a pre_auth_code is another one for each caller, also for those who ask together', async () => {
  const ask = () => client.get(CODE.kind, COMPONENT.appid);
  const codes = await Promise.all([ask(), ask(), ask()]);
  codes.push(await ask());
  expect(new Set(codes.map(({ value }) => value)).size).toBe(4);
  away();
  expect(await failure(ask())).toMatchObject({ code: 'unreachable' });
});

describe('while wxkeeper is away', () => {
  it('a value that lives is served, asked about now and then, and who wants to know is told', async () => {
    const { value } = await read();
    away();
    newlyAsked();
    await platform.pass(MINUTE);
    expect((await read()).value).toBe(value);
    expect((await read()).value).toBe(value);
    expect(newlyAsked()).toEqual([READ]);
    expect(problems).toMatchObject([{ code: 'unreachable', status: undefined }]);
    await platform.pass(5_000);
    expect((await read()).value).toBe(value);
    expect(newlyAsked()).toEqual([READ]);
    await network.heal();
    await platform.pass(5_000);
    await read();
    expect(newlyAsked()).toEqual([`${READ} 304`]);
  });

  it('one that is about to end is not, and the error says why', async () => {
    const { expiresInSeconds } = await read();
    away();
    platform.clock.sleepThrough((expiresInSeconds - 9) * 1000);
    const error = await failure(read());
    expect(error).toBeInstanceOf(WxkeeperError);
    expect(error).toMatchObject({ name: 'WxkeeperError', code: 'unreachable' });
  });

  it('nobody waits longer than is allowed', async () => {
    client = clientWith({ timeoutMs: 50 });
    network.blackhole();
    expect(await failure(read())).toMatchObject({
      code: 'unreachable',
      message: 'wxkeeper did not answer within 50 ms',
    });
  });

  it('a connection that it drops as it restarts is not seen', async () => {
    let requests = 0;
    const server = createServer((request, response) => {
      requests += 1;
      if (requests === 1) request.socket.destroy();
      else response.end(JSON.stringify({ subject: 'wx1', value: 'v', seq: 3, expires_in: 7200 }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client = clientWith({ url: `http://127.0.0.1:${portOf(server)}` });
    expect(await client.get('access_token', 'wx1')).toMatchObject({ value: 'v', seq: 3 });
    expect(requests).toBe(2);
    server.close();
  });

  it('a refusal for now counts as away, and its Retry-After is kept to', async () => {
    const { value } = await read();
    await platform.app.stop();
    const busy = await answering(503, { 'retry-after': '30' }, errorBody('store_unavailable'));
    network.reset();
    network.retarget({ port: portOf(busy) });
    await platform.pass(MINUTE);
    newlyAsked();
    expect((await read()).value).toBe(value);
    platform.clock.sleepThrough(29_000);
    await read();
    // Perhaps the connection to the former one was tried before.
    expect(newlyAsked().filter((line) => line !== READ)).toEqual([`${READ} 503`]);
    platform.clock.sleepThrough(1_000);
    await read();
    expect(newlyAsked()).toEqual([`${READ} 503`]);
    expect(problems).toMatchObject([
      { code: 'store_unavailable', status: 503, retryAfterSeconds: 30, requestId: 'r-1' },
      { code: 'store_unavailable' },
    ]);
    busy.close();
  });
});

const errorBody = (code: string) =>
  JSON.stringify({ error: { code, message: 'Not now.', request_id: 'r-1' } });

const portOf = (server: Server) => (server.address() as AddressInfo).port;

/** A server that answers everything alike. */
async function answering(
  status: number,
  headers: Record<string, string>,
  body: string | Uint8Array[],
): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status, headers);
    if (typeof body === 'string') response.end(body);
    else Readable.from(body).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

describe('a refusal', () => {
  it.each([
    ['an unknown key', { key: 'wxk_of-nobody' }, TOKEN.kind, COMPONENT.appid, 401, 'unauthorized'],
    ['an unknown account', {}, 'access_token', 'wx00000000000000ff', 404, 'not_found'],
    ['no authorization', {}, AUTHORIZED.kind, PAIR, 404, 'not_found'],
  ] as const)('is a typed error: %s', async (_what, options, kind, subject, status, code) => {
    client = clientWith(options);
    expect(await failure(client.get(kind, subject))).toMatchObject({ status, code });
  });

  it('ends what was kept: an account that has ended its authorization', async () => {
    await authorize(platform);
    await client.get(AUTHORIZED.kind, PAIR);
    await platform.simulator.pushUnauthorized(COMPONENT.appid, AUTHORIZER);
    await platform.settle();
    await platform.pass(MINUTE);
    expect(await failure(client.get(AUTHORIZED.kind, PAIR))).toMatchObject({
      status: 410,
      code: 'authorizer_revoked',
    });
    away();
    expect(await failure(client.get(AUTHORIZED.kind, PAIR))).toMatchObject({ code: 'unreachable' });
    expect(problems).toEqual([]);
  });

  it.each([
    ['a page', 200, '<html></html>'],
    ['a page with an error', 502, '<html></html>'],
    ['nothing', 200, ''],
    ['another account', 200, '{"subject":"wx1","value":"v","seq":1,"expires_in":7200}'],
    ['no value', 200, `{"subject":"${COMPONENT.appid}","seq":1,"expires_in":7200}`],
    ['a redirect', 302, ''],
    ['304 without being asked', 304, ''],
  ])(
    'of a stranger in the place of wxkeeper is said to be that: %s',
    async (_what, status, body) => {
      const server = await answering(status, { location: 'http://127.0.0.1:1/' }, body);
      client = clientWith({ url: `http://127.0.0.1:${portOf(server)}/behind/a/proxy/` });
      const code = status === 302 ? 'unreachable' : 'odd_answer';
      expect(await failure(read())).toMatchObject({ code });
      server.close();
      expect(newlyAsked()[0]).toContain('GET /behind/a/proxy/v1/credentials/');
    },
  );

  it('never holds the key or a value', async () => {
    const { value } = await read();
    client = clientWith({ url: 'http://127.0.0.1:1', key: 'wxk_secret-of-this-test' });
    const report = client.reject(TOKEN.kind, COMPONENT.appid, 1, 40001);
    for (const error of [await failure(read()), await failure(report)]) {
      const shown = JSON.stringify([error, String((error as Error).cause), (error as Error).stack]);
      expect(shown).not.toContain('secret-of-this-test');
      expect(shown).not.toContain(value);
    }
    expect(() => clientWith({ key: 'wxk_secret of' })).toThrow(
      /^key must be an API key of wxkeeper$/,
    );
    expect(() => clientWith({ url: 'http://me:secret@127.0.0.1' })).toThrow(/^url must be [^:]*$/);
  });

  it('comes before anything is asked when kind or subject would be another path', async () => {
    for (const [kind, subject] of [
      ['..', COMPONENT.appid],
      [TOKEN.kind, '../wx1'],
      [TOKEN.kind, 'wx1/rejected'],
      [TOKEN.kind, 'wx1:wx2:wx3'],
      [TOKEN.kind, ''],
    ] as const) {
      expect(await failure(client.get(kind, subject))).toBeInstanceOf(TypeError);
    }
    expect(newlyAsked()).toEqual([]);
  });
});

describe('a report', () => {
  beforeEach(() => platform.pass(2 * MINUTE));

  it('of one value is made once, and its answer is kept', async () => {
    const { seq } = await read();
    newlyAsked();
    const reject = () => client.reject(TOKEN.kind, COMPONENT.appid, seq, 40001);
    const answers = await Promise.all(Array.from({ length: 10 }, reject));
    expect(newlyAsked()).toEqual([`${REPORT} 200`]);
    for (const { outcome, credential } of answers) {
      expect(outcome).toBe('refreshed');
      expect(credential).toMatchObject({ seq: 2, value: current() });
    }
    expect((await read()).value).toBe(current());
    expect(await reject()).toMatchObject({ outcome: 'already_newer', credential: { seq: 2 } });
    expect(newlyAsked()).toEqual([]);
  });

  it('in vain is not repeated before it can help', async () => {
    const reject = (seq: number) => client.reject(TOKEN.kind, COMPONENT.appid, seq, 40001);
    await reject(1);
    newlyAsked();
    const throttled = { outcome: 'throttled', credential: { seq: 2 } };
    expect(await reject(2)).toMatchObject({ ...throttled, retryAfterSeconds: 60 });
    platform.clock.sleepThrough(59_000);
    expect(await reject(2)).toMatchObject({ ...throttled, retryAfterSeconds: 1 });
    expect(newlyAsked()).toEqual([`${REPORT} 200`]);
    platform.clock.sleepThrough(1_000);
    await reject(2);
    expect(newlyAsked()).toEqual([`${REPORT} 200`]);
  });

  it('of a seq that is newer than the one that is kept is passed on', async () => {
    await read();
    await client.reject(TOKEN.kind, COMPONENT.appid, 7, 40001);
    expect(newlyAsked()).toEqual([`${READ} 200`, `${REPORT} 200`]);
  });

  it('by a key that may not read says what came of it, and the next read asks', async () => {
    client = clientWith({ key: REPORTER.key });
    const answer = await client.reject(TOKEN.kind, COMPONENT.appid, 1, 40001);
    expect(answer).toMatchObject({ outcome: 'refreshed', credential: undefined });
    expect(await failure(read())).toMatchObject({ code: 'forbidden', status: 403 });
  });

  it('about what no report can be about is a typed error', async () => {
    expect(await failure(client.reject(CODE.kind, COMPONENT.appid, 1, 40001))).toMatchObject({
      code: 'bad_request',
      status: 400,
    });
  });
});

describe('a call to WeChat', () => {
  const body = JSON.stringify({ component_appid: COMPONENT.appid });
  const ofPlatform = { kind: 'component_access_token', subject: COMPONENT.appid } as const;
  const ofAuthorizer = { kind: 'authorizer_access_token', subject: PAIR } as const;
  const newCode = () => client.fetch(wechat(NEW_CODE), { method: 'POST', body }, ofPlatform);
  beforeEach(() => platform.pass(2 * MINUTE));

  it('carries the token under the name that its path wants', async () => {
    await authorize(platform);
    const queries: string[] = [];
    client = clientWith({
      fetch: (url, init) => {
        const { pathname, search } = addressOf(url);
        if (!pathname.startsWith('/v1/'))
          queries.push(pathname + search.replace(/=[^&]{50,}/, '='));
        return fetch(url, init);
      },
    });
    const platformPaths = [
      NEW_CODE,
      '/sns/oauth2/component/access_token?a=1',
      '/wxa/gettemplatelist',
    ];
    for (const path of platformPaths) await client.fetch(wechat(path), undefined, ofPlatform);
    for (const path of [SEND, '/cgi-bin/component/setprivacysetting?access_token=stale']) {
      await client.fetch(new URL(wechat(path)), { method: 'POST' }, ofAuthorizer);
    }
    await client.fetch(wechat('/x'), undefined, { ...ofPlatform, parameter: 'token' });
    expect(queries).toEqual([
      `${NEW_CODE}?component_access_token=`,
      '/sns/oauth2/component/access_token?a=1&component_access_token=',
      '/wxa/gettemplatelist?access_token=',
      `${SEND}?access_token=`,
      '/cgi-bin/component/setprivacysetting?access_token=',
      '/x?token=',
    ]);
  });

  it('with a dead token is reported once and repeated, for all who find it dead', async () => {
    const dead = (await read()).value;
    platform.simulator.mintElsewhere('component_access_token');
    newlyAsked();
    const answers = await Promise.all(Array.from({ length: 20 }, newCode));
    for (const answer of answers) {
      expect(await answer.json()).toMatchObject({ pre_auth_code: expect.any(String) as unknown });
    }
    expect(newlyAsked().filter((line) => line.includes('/v1/'))).toEqual([`${REPORT} 200`]);
    expect(current()).not.toBe(dead);
    expect(problems).toEqual([]);
  });

  it.each([40001, 40014, 42001])('is repeated after %i, and only once', async (errcode) => {
    const fault = { type: 'errcode', errcode } as const;
    platform.simulator.addFault({ api: 'api_create_preauthcode', times: 2, fault });
    const answer = await newCode();
    expect(await answer.json()).toMatchObject({ errcode });
    const calls = newlyAsked().filter((line) => line.includes(NEW_CODE));
    expect(calls).toHaveLength(2);
    expect(await (await newCode()).json()).toHaveProperty('pre_auth_code');
  });

  it.each([45009, -1, 48001, 61004])('is left alone after %i', async (errcode) => {
    await read();
    newlyAsked();
    const fault = { type: 'errcode', errcode } as const;
    platform.simulator.addFault({ api: 'api_create_preauthcode', fault });
    expect(await (await newCode()).json()).toMatchObject({ errcode });
    expect(newlyAsked()).toEqual([`POST ${NEW_CODE} 200`]);
  });

  it('repeats every body but a stream, for which it only makes sure of the next call', async () => {
    await authorize(platform);
    const text = JSON.stringify({ touser: 'o', msgtype: 'text', text: { content: '你好' } });
    const bytes = new TextEncoder().encode(text);
    const bodies = [text, bytes, bytes.buffer, new Blob([text]), new Response(text).body];
    const answers: unknown[] = [];
    for (const one of bodies) {
      // So much has to pass between two reports, as they look like the work of a foreign refresher.
      await platform.skip(31 * MINUTE);
      const fault = { type: 'errcode', errcode: 42001 } as const;
      platform.simulator.addFault({ api: 'send', fault });
      const init = { method: 'POST', body: one, duplex: 'half' } as const;
      const answer = await client.fetch(wechat(SEND), init, ofAuthorizer);
      answers.push(((await answer.json()) as { errcode: number }).errcode);
    }
    expect(answers).toEqual([0, 0, 0, 0, 42001]);
    newlyAsked();
    await client.fetch(wechat(SEND), { method: 'POST', body: text }, ofAuthorizer);
    expect(newlyAsked()).toEqual([`POST ${SEND} 200`]);
    expect(platform.simulator.ledger.messages.map(({ content }) => content)).toEqual(
      Array.from({ length: 5 }, () => '你好'),
    );
  });

  it('whose report fails has the answer that WeChat gave, and who wants to know is told', async () => {
    await read();
    platform.simulator.mintElsewhere('component_access_token');
    away();
    expect(await (await newCode()).json()).toMatchObject({ errcode: 40001 });
    expect(problems).toMatchObject([{ code: 'unreachable' }]);
    newlyAsked();
    await newCode();
    expect(newlyAsked()).toEqual([`POST ${NEW_CODE} 200`]);
  });

  it('tells of a key that may not report', async () => {
    client = clientWith({ key: READER.key });
    await read();
    platform.simulator.mintElsewhere('component_access_token');
    expect(await (await newCode()).json()).toMatchObject({ errcode: 40001 });
    expect(problems).toMatchObject([{ code: 'forbidden', status: 403 }]);
  });

  it('hands over large and binary answers as they come, and reads none of them ahead', async () => {
    const chunk = new Uint8Array(64 * 1024).fill(0x20);
    for (const type of ['image/jpeg', 'application/json', 'text/plain']) {
      const server = await answering(200, { 'content-type': type }, [
        new TextEncoder().encode('{"errcode":40001,'),
        ...Array.from({ length: 64 }, () => chunk),
        new TextEncoder().encode('"a":1}'),
      ]);
      const url = `http://127.0.0.1:${portOf(server)}/cgi-bin/media/get`;
      const answer = await client.fetch(url, undefined, ofPlatform);
      expect(answer.url).toContain('/cgi-bin/media/get');
      expect((await answer.arrayBuffer()).byteLength).toBe(17 + 64 * chunk.length + 6);
      server.close();
    }
    expect(newlyAsked().filter((line) => line.startsWith('POST /v1/'))).toEqual([]);
  });

  it('is not made without a token, and its signal ends the waiting of that caller alone', async () => {
    away();
    expect(await failure(newCode())).toMatchObject({ code: 'unreachable' });
    await network.heal();
    const waiting = new AbortController();
    const [given, up] = [
      read(),
      client.get(TOKEN.kind, COMPONENT.appid, { signal: waiting.signal }),
    ];
    waiting.abort(new Error('enough'));
    expect(await failure(up)).toMatchObject({ message: 'enough' });
    expect((await given).value).toBe(current());
    const init = { signal: AbortSignal.abort(new Error('never')) };
    expect(await failure(client.fetch(wechat('/x'), init, ofPlatform))).toMatchObject({
      message: 'never',
    });
  });
});
