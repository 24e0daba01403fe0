import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import type { MintKind } from '../../src/sandbox/wechat/ledger.ts';
import { AUTHORIZED, authorize } from '../kit/authorizers.ts';
import { authorizedEvent } from '../kit/authorizing.ts';
import {
  AUTHORIZER,
  CLASSIC,
  COMPONENT,
  createTestPlatform,
  HOUR,
  STABLE,
  type TestPlatform,
} from '../kit/platform.ts';

/** WeChat's own calls for tokens, as SDKs send them. */

const READER = makeApiKey('reader', 'credentials:read+credentials:refresh');
const NARROW = makeApiKey('narrow', `credentials:read@${CLASSIC.appid}`);
let platform: TestPlatform;
beforeEach(async () => {
  const env = { API_KEYS: [READER.entry, NARROW.entry].join(',') };
  platform = await createTestPlatform({ ticket: true, accounts: true, env });
});
afterEach(() => platform.close());

type Answer = Record<string, unknown> & { text: string; errcode?: number };

/** As clients see it: nothing but the body, whatever the status. */
async function call(path: string, init: RequestInit = {}): Promise<Answer> {
  const answer = await fetch(`http://127.0.0.1:${platform.app.internalPort()}${path}`, init);
  const text = await answer.text();
  await platform.settle();
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  expect(answer.headers.get('content-length')).toBe(String(Buffer.byteLength(text)));
  expect(text).toBe(JSON.stringify(JSON.parse(text)));
  return { ...(JSON.parse(text) as object), text };
}

/** Without a content type, as some send it. */
const post = (path: string, body: unknown) =>
  call(path, { method: 'POST', body: Buffer.from(JSON.stringify(body)) });
const query = (fields: Record<string, string>) => new URLSearchParams(fields).toString();
const tokenOf = (appid: string, secret = READER.key) =>
  call(`/cgi-bin/token?${query({ grant_type: 'client_credential', appid, secret })}`);
const ours = { component_appid: COMPONENT.appid };
const componentToken = async () => {
  const answer = await post('/cgi-bin/component/api_component_token', {
    ...ours,
    component_appsecret: READER.key,
    component_verify_ticket: null,
  });
  return String(answer.component_access_token);
};
const latest = (kind: MintKind, subject?: string) =>
  platform.simulator.latestMint(kind, subject)?.value;
const mints = () => platform.simulator.ledger.mints.length;

describe('an own account', () => {
  it('gets the token that is kept, until it is to be replaced', async () => {
    const before = mints();
    const first = await tokenOf(STABLE.appid);
    expect(first).toMatchObject({ access_token: latest('access_token', STABLE.appid) });
    expect(first.expires_in).toBe(7200 - 900);
    const stable = await post('/cgi-bin/stable_token', {
      grant_type: 'client_credential',
      appid: STABLE.appid,
      secret: READER.key,
    });
    expect(stable.access_token).toBe(first.access_token);
    expect(mints()).toBe(before);
  });

  it('never gets one that a cache would keep for ever, or that is just being replaced', async () => {
    await platform.pass(1.8 * HOUR);
    const { expires_in: seconds } = await tokenOf(STABLE.appid);
    expect(seconds).toBeGreaterThanOrEqual(600);
  });

  it('nor one that the cache of its client would refuse, where its key has a least life', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wxkeeper-facade-'));
    const file = join(folder, 'config.json');
    const account = { appid: STABLE.appid, appsecret: STABLE.secret };
    writeFileSync(file, JSON.stringify({ accounts: [account], min_expires_in: { reader: 1560 } }));
    await platform.close();
    const env = { API_KEYS: READER.entry, CONFIG_FILE: file };
    platform = await createTestPlatform({
      ticket: true,
      env,
      simulator: { accounts: [STABLE] },
    });
    await platform.pass(1.7 * HOUR);
    const { expires_in: seconds } = await tokenOf(STABLE.appid);
    expect(seconds).toBeGreaterThanOrEqual(1560);
    rmSync(folder, { recursive: true });
  });

  it('gets its tickets for its token, also for one that was replaced since', async () => {
    const { access_token: token } = await tokenOf(STABLE.appid);
    const ticket = () =>
      call(`/cgi-bin/ticket/getticket?${query({ access_token: String(token), type: 'jsapi' })}`);
    const first = await ticket();
    expect(first).toMatchObject({ errcode: 0, ticket: latest('jsapi_ticket', STABLE.appid) });
    expect(first.expires_in).toBeGreaterThan(500);
    await platform.skip(2 * HOUR);
    expect((await ticket()).ticket).toBe(latest('jsapi_ticket', STABLE.appid));
  });

  it('`force_refresh` replaces a token that is dead, and none that WeChat stands by', async () => {
    const { access_token: token } = await tokenOf(CLASSIC.appid);
    await platform.pass(600_000);
    const body = { appid: CLASSIC.appid, secret: READER.key, force_refresh: true };
    platform.simulator.mintElsewhere('access_token', CLASSIC.appid);
    const forced = await post('/cgi-bin/stable_token', body);
    expect(forced.access_token).not.toBe(token);
    expect(platform.simulator.isLive('access_token', String(forced.access_token))).toBe(true);
    const before = mints();
    expect((await post('/cgi-bin/stable_token', body)).access_token).toBe(forced.access_token);
    expect(mints()).toBe(before);
  });

  it('`force_refresh` is not heeded from a key that may only read', async () => {
    const narrow = await tokenOf(CLASSIC.appid, NARROW.key);
    platform.simulator.mintElsewhere('access_token', CLASSIC.appid);
    const body = { appid: CLASSIC.appid, secret: NARROW.key, force_refresh: true };
    expect((await post('/cgi-bin/stable_token', body)).access_token).toBe(narrow.access_token);
  });
});

describe('a platform', () => {
  it('gets its token, a code that works once, and the tokens of its accounts', async () => {
    await authorize(platform);
    const token = await componentToken();
    expect(token).toBe(latest('component_access_token'));
    const code = await post(
      `/cgi-bin/component/api_create_preauthcode?component_access_token=${token}`,
      ours,
    );
    expect(Object.keys(code)).toEqual(['pre_auth_code', 'expires_in', 'text']);
    const again = await post(
      `/cgi-bin/component/api_create_preauthcode?access_token=${token}`,
      ours,
    );
    expect(again.pre_auth_code).not.toBe(code.pre_auth_code);
    const path = `/cgi-bin/component/api_authorizer_token?component_access_token=${token}`;
    const asked = { ...ours, authorizer_appid: AUTHORIZER };
    const sent = { ...asked, authorizer_refresh_token: 'what-the-client-had' };
    const { text, ...answer } = await post(path, sent);
    expect(answer).toEqual({
      authorizer_access_token: latest('authorizer_access_token', AUTHORIZER),
      expires_in: expect.any(Number) as number,
      authorizer_refresh_token: 'what-the-client-had',
    });
    const { authorizer_refresh_token: handle } = await post(path, asked);
    expect(handle).toMatch(/^refreshtoken@@@wxkeeper-[0-9a-f]{32}$/);
    expect(text).not.toContain(
      (await platform.redis.hget(platform.keys.record(AUTHORIZED), 'refresh_token')) ?? '',
    );
  });

  it('a code is exchanged once, and everybody gets the answer', async () => {
    const { code } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
    await authorizedEvent(platform, code);
    await platform.settle();
    const token = await componentToken();
    const path = `/cgi-bin/component/api_query_auth?component_access_token=${token}`;
    const ask = () => post(path, { ...ours, authorization_code: code });
    const answers = [await ask(), await ask()];
    for (const { authorization_info: info } of answers) {
      expect(info).toMatchObject({
        authorizer_appid: AUTHORIZER,
        authorizer_access_token: latest('authorizer_access_token', AUTHORIZER),
        func_info: expect.arrayContaining([]) as unknown[],
      });
    }
    const asked = platform.simulator.ledger.calls.filter(({ api }) => api === 'api_query_auth');
    expect(asked).toHaveLength(1);
  });

  it('is told that pushes are on', async () => {
    const body = { ...ours, component_secret: READER.key };
    expect(await post('/cgi-bin/component/api_start_push_ticket', body)).toMatchObject({
      errcode: 0,
      errmsg: 'ok',
    });
  });

  it('an account that has authorized it is served like an own one', async () => {
    await authorize(platform);
    const { access_token: token } = await tokenOf(AUTHORIZER);
    expect(token).toBe(latest('authorizer_access_token', AUTHORIZER));
  });
});

describe('whoever may not, or asks for what is not there', () => {
  const DEAD = [40001, 40014, 42001];

  it.each([
    ['an unknown key', () => tokenOf(STABLE.appid, 'secret-of-the-stable-account'), 40125],
    ['no key', () => call(`/cgi-bin/token?appid=${STABLE.appid}`), 40125],
    ['a key for another account', () => tokenOf(STABLE.appid, NARROW.key), 40013],
    ['an unknown account', () => tokenOf('wx00000000000000ff'), 40013],
    ['no account', () => call(`/cgi-bin/token?secret=${READER.key}`), 40013],
    ['an account twice', () => call(`/cgi-bin/token?appid=a&appid=b&secret=${READER.key}`), 40013],
    [
      'a body that is none',
      () => call('/cgi-bin/stable_token', { method: 'POST', body: '{' }),
      47001,
    ],
    ['a body that is a list', () => post('/cgi-bin/stable_token', []), 47001],
    ['a long body', () => post('/cgi-bin/stable_token', 'x'.repeat(70_000)), 47001],
  ])('%s gets an errcode that no client takes for a dead token', async (_what, ask, errcode) => {
    const answer = await ask();
    expect(answer.errcode).toBe(errcode);
    expect(DEAD).not.toContain(answer.errcode);
    expect(answer.errmsg).toMatch(/rid: \S+$/);
  });

  it('an account that has not authorized is said to be that', async () => {
    const path = `/cgi-bin/component/api_authorizer_token?component_access_token=${await componentToken()}`;
    const answer = await post(path, { ...ours, authorizer_appid: 'wx00000000000000fe' });
    expect(answer.errcode).toBe(61003);
  });

  it('a platform token that nobody was given leads to a new one', async () => {
    const path = '/cgi-bin/component/api_create_preauthcode?component_access_token=stranger';
    expect((await post(path, ours)).errcode).toBe(40001);
  });

  it('a code that is none is expired', async () => {
    const path = `/cgi-bin/component/api_query_auth?component_access_token=${await componentToken()}`;
    const asking = post(path, { ...ours, authorization_code: 'queryauthcode@@@none' });
    expect((await asking).errcode).toBe(61010);
  });

  it('leaves no key and no token in the log', async () => {
    const token = await componentToken();
    await tokenOf(STABLE.appid, NARROW.key);
    await tokenOf(STABLE.appid, 'wxk_reader_'.padEnd(54, 'x'));
    const told = JSON.stringify(platform.logs);
    for (const secret of [READER.key, NARROW.key, token]) expect(told).not.toContain(secret);
    const refused = platform.logs.filter(({ room }) => room === 'audit');
    expect(refused.map(({ result }) => result)).toEqual(['forbidden', 'unauthorized']);
  });
});
