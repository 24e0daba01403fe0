import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  fetchAccessToken,
  fetchStableAccessToken,
  fetchTicket,
} from '../../src/wechat/calls/account.ts';
import { createWechatApi, WechatError, type WechatApi } from '../../src/wechat/client.ts';
import { fetchAuthorizerToken } from '../../src/wechat/calls/authorizer.ts';
import { createManualClock } from '../kit/clock.ts';
import { collectUnmasked, type UnmaskedLines } from '../kit/logs.ts';

interface Received {
  method: string | undefined;
  path: string;
  query: Record<string, string>;
  headers: IncomingHttpHeaders;
  body: string;
}

const APPID = 'wxcccccccccccccccc';
const SECRET = 'canary-app-secret';
const TOKEN = 'canary-access-token';
const REFRESH = 'refreshtoken@@@canary';
const ACCOUNT = { appid: APPID, secret: SECRET };
const GRANT = {
  componentAppid: 'wxaaaaaaaaaaaaaaaa',
  componentAccessToken: TOKEN,
  authorizerAppid: 'wxbbbbbbbbbbbbbbbb',
  refreshToken: REFRESH,
};
/** Every field that is waited for, none of them usable. */
const MALFORMED = JSON.stringify({
  access_token: 'canary echo',
  ticket: 'canary echo',
  authorizer_access_token: 'canary echo',
});
const DATE = 'Sat, 21 Nov 2026 09:00:00 GMT';

describe('a call to WeChat', () => {
  let received: Received[];
  let answer: (response: ServerResponse) => void;
  let dates: number[];
  let given: UnmaskedLines;
  let api: WechatApi;
  let url: string;
  const server = createServer((incoming, response) => {
    const { pathname, searchParams } = new URL(incoming.url ?? '', 'http://wechat');
    let body = '';
    incoming.setEncoding('utf8').on('data', (part: string) => (body += part));
    incoming.on('end', () => {
      const { method, headers } = incoming;
      const query = Object.fromEntries(searchParams);
      received.push({ method, path: pathname, query, headers, body });
      answer(response);
    });
  });

  /** The next answers: this JSON, with these headers. */
  const answerWith = (fields: object, headers: Record<string, string> = {}, status = 200) => {
    answer = (response) => {
      response.sendDate = false;
      response.writeHead(status, headers).end(JSON.stringify(fields));
    };
  };
  const createApi = (baseUrls = [url]) => {
    // A call must not rely on the redaction of the log.
    const { log } = collectUnmasked(given);
    const onDate = (wechatNow: number) => void dates.push(wechatNow);
    return createWechatApi({ baseUrls, clock: createManualClock(), log, onDate });
  };
  const thrownBy = (calling: Promise<unknown>): Promise<unknown> =>
    calling.then(
      () => new Error('there was an answer'),
      (error: unknown) => error,
    );

  beforeEach(async () => {
    received = [];
    dates = [];
    given = [];
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    api = createApi();
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it('for a classic token is a GET with everything in the query', async () => {
    answerWith({ access_token: 'NEW', expires_in: 7200 });
    expect(await fetchAccessToken(api, ACCOUNT)).toEqual({
      value: 'NEW',
      lifeSeconds: 7200,
      lifeAssumed: false,
      mayHaveRunTwice: false,
    });
    expect(received).toMatchObject([
      {
        method: 'GET',
        path: '/cgi-bin/token',
        query: { grant_type: 'client_credential', appid: APPID, secret: SECRET },
        body: '',
      },
    ]);
    const { headers } = received[0] ?? {};
    for (const name of ['content-type', 'content-length', 'transfer-encoding']) {
      expect(headers).not.toHaveProperty(name);
    }
  });

  it.each(['jsapi', 'wx_card'] as const)('for a %s ticket is a GET', async (type) => {
    // Unlike tokens, tickets come with an errcode in good answers too.
    answerWith({ errcode: 0, errmsg: 'ok', ticket: 'kgt8ON7yVITDhtdwci0qeQ', expires_in: 7200 });
    const accessToken = 'with+/=& reserved%20 characters';
    expect(await fetchTicket(api, { accessToken, type })).toMatchObject({
      value: 'kgt8ON7yVITDhtdwci0qeQ',
      lifeSeconds: 7200,
      lifeAssumed: false,
    });
    const query = { access_token: accessToken, type };
    expect(received).toMatchObject([
      { method: 'GET', path: '/cgi-bin/ticket/getticket', query, body: '' },
    ]);
    expect(received[0]?.headers).not.toHaveProperty('content-type');
  });

  it('for a ticket fails when errcode 0 comes without one', async () => {
    answerWith({ errcode: 0, errmsg: 'ok', expires_in: 7200 });
    expect(await thrownBy(fetchTicket(api, { accessToken: TOKEN, type: 'jsapi' }))).toMatchObject({
      facts: { fault: 'bad_body', class: 'retry', mayHaveRun: true },
    });
  });

  it.each([
    { force: false, more: {} },
    { force: true, more: { force_refresh: true } },
  ])('for a stable token is a POST of JSON (force: $force)', async ({ force, more }) => {
    answerWith({ access_token: 'STABLE', expires_in: 345 });
    expect(await fetchStableAccessToken(api, { ...ACCOUNT, force })).toMatchObject({
      value: 'STABLE',
      lifeSeconds: 345,
      lifeAssumed: false,
    });
    const [{ method, path, query, headers, body } = expect.fail('nothing came')] = received;
    expect({ method, path, query }).toEqual({
      method: 'POST',
      path: '/cgi-bin/stable_token',
      query: {},
    });
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(body.length),
    });
    expect(JSON.parse(body)).toEqual({ grant_type: 'client_credential', ...ACCOUNT, ...more });
  });

  it("for an authorizer's token sends the refresh token and brings the next one", async () => {
    answerWith({
      authorizer_access_token: 'NEW',
      expires_in: 7200,
      authorizer_refresh_token: 'refreshtoken@@@next',
    });
    expect(await fetchAuthorizerToken(api, GRANT)).toEqual({
      value: 'NEW',
      lifeSeconds: 7200,
      lifeAssumed: false,
      mayHaveRunTwice: false,
      refreshToken: 'refreshtoken@@@next',
    });
    expect(received).toMatchObject([
      {
        method: 'POST',
        path: '/cgi-bin/component/api_authorizer_token',
        query: { component_access_token: TOKEN },
      },
    ]);
    expect(JSON.parse(received[0]?.body ?? '')).toEqual({
      component_appid: GRANT.componentAppid,
      authorizer_appid: GRANT.authorizerAppid,
      authorizer_refresh_token: REFRESH,
    });
  });

  it.each([
    { name: 'token', fetch: () => fetchAccessToken(api, ACCOUNT), cls: 'config' },
    {
      name: 'stable_token',
      fetch: () => fetchStableAccessToken(api, { ...ACCOUNT, force: false }),
      cls: 'config',
    },
    {
      name: 'getticket',
      fetch: () => fetchTicket(api, { accessToken: TOKEN, type: 'jsapi' }),
      cls: 'token',
    },
    { name: 'api_authorizer_token', fetch: () => fetchAuthorizerToken(api, GRANT), cls: 'token' },
  ])('of $name takes 40001 for a matter of $cls', async ({ name, fetch, cls }) => {
    answerWith({ errcode: 40001, errmsg: 'invalid credential rid: 6f3a1b2c-0a0b0c0d-11223344' });
    expect(await thrownBy(fetch())).toMatchObject({
      facts: { api: name, fault: 'errcode', errcode: 40001, class: cls, mayHaveRun: false },
    });
  });

  it('hands over the time of every answer, good or bad', async () => {
    answerWith({ access_token: 'NEW' }, { date: DATE });
    await fetchAccessToken(api, ACCOUNT);
    answerWith({ errcode: 40164, errmsg: 'not in whitelist' }, { date: DATE });
    await thrownBy(fetchAccessToken(api, ACCOUNT));
    answerWith({}, { date: DATE }, 502);
    await thrownBy(fetchAccessToken(createApi([url, url]), ACCOUNT));
    expect(dates).toEqual(Array(4).fill(Date.UTC(2026, 10, 21, 9)));
  });

  it.each([
    undefined,
    '',
    'yesterday',
    'Invalid Date',
    // JavaScript's own parser makes a date of all that follows.
    '5',
    'garbage 5',
    'Sat, 21 Nov 2026 09:00:00',
    'Sat, 21 Nov 2026 09:00:00 +0800',
    'Sun, 31 Feb 2027 09:00:00 GMT',
    'Sun, 21 Nov 2026 09:00:00 GMT',
    '2026-11-21T09:00:00Z',
  ])('hands over no time when the date is %j, and keeps the answer', async (date) => {
    answerWith({ access_token: 'NEW' }, date === undefined ? {} : { date });
    expect((await fetchAccessToken(api, ACCOUNT)).value).toBe('NEW');
    expect(dates).toEqual([]);
  });

  it('needs nobody who listens to the time', async () => {
    answerWith({ access_token: 'NEW' }, { date: DATE });
    const { log } = collectUnmasked();
    const quiet = createWechatApi({ baseUrls: [url], clock: createManualClock(), log });
    expect((await fetchAccessToken(quiet, ACCOUNT)).value).toBe('NEW');
  });

  it('follows no redirect with a GET either, and tells WeChat nothing twice', async () => {
    answerWith({}, { location: `${url}/elsewhere` }, 302);
    expect(await thrownBy(fetchAccessToken(createApi([url, url]), ACCOUNT))).toMatchObject({
      facts: { fault: 'redirect', class: 'config' },
    });
    expect(received.map(({ path }) => path)).toEqual(['/cgi-bin/token']);
  });

  it('reads no more than 64 KB of the answer to a GET', async () => {
    answerWith({ access_token: 'NEW', padding: 'x'.repeat(65_536) });
    expect(await thrownBy(fetchAccessToken(api, ACCOUNT))).toMatchObject({
      facts: { fault: 'bad_body', mayHaveRun: true },
    });
  });

  const troubles: [string, (response: ServerResponse) => void][] = [
    ['an errcode', (response) => response.end('{"errcode":40001,"errmsg":"canary-echo"}')],
    ['a server error', (response) => response.writeHead(502).end('canary-echo')],
    ['a web page', (response) => response.end('<html>canary-echo')],
    ['a redirect', (response) => response.writeHead(302, { location: '/?s=canary-echo' }).end()],
    ['a malformed value', (response) => response.end(MALFORMED)],
    ['a reset', (response) => response.socket?.resetAndDestroy()],
    ['what is not HTTP', (response) => response.socket?.end('canary-echo\r\n\r\n')],
    ['nothing', (response) => response.socket?.end()],
  ];
  it.each(troubles)('tells no secret after %s', async (_what, trouble) => {
    answer = trouble;
    const failures = [
      await thrownBy(fetchAccessToken(api, ACCOUNT)),
      await thrownBy(fetchStableAccessToken(api, { ...ACCOUNT, force: true })),
      await thrownBy(fetchTicket(api, { accessToken: TOKEN, type: 'jsapi' })),
      await thrownBy(fetchAuthorizerToken(api, GRANT)),
    ];
    for (const failure of failures) expect(failure).toBeInstanceOf(WechatError);
    expect(received).toHaveLength(4);
    expect(given).toHaveLength(4);
    const told = [
      inspect(given, { depth: 12 }),
      inspect(failures, { depth: 9 }),
      JSON.stringify(failures),
    ].join('\n');
    expect(told).not.toContain('canary');
  });

  it('tells no secret when nobody can be reached', async () => {
    server.closeAllConnections();
    const nobody = createApi(['http://127.0.0.1:1']);
    const failure = await thrownBy(fetchAccessToken(nobody, ACCOUNT));
    expect(failure).toMatchObject({ facts: { fault: 'unreachable', mayHaveRun: false } });
    expect(
      [inspect(given, { depth: 12 }), inspect(failure, { depth: 9 })].join('\n'),
    ).not.toContain('canary');
  });

  it('logs no value of a good answer', async () => {
    answerWith({ access_token: 'canary-new', ticket: 'canary-new', expires_in: 7200 });
    await fetchAccessToken(api, ACCOUNT);
    await fetchStableAccessToken(api, { ...ACCOUNT, force: false });
    await fetchTicket(api, { accessToken: TOKEN, type: 'wx_card' });
    expect(given).toHaveLength(3);
    expect(inspect(given, { depth: 12 })).not.toContain('canary');
  });
});
