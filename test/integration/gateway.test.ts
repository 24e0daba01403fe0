import http from 'node:http';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { AUTHORIZED, authorize } from '../kit/authorizers.ts';
import {
  AUTHORIZER,
  CLASSIC,
  COMPONENT,
  createTestPlatform,
  HOUR,
  STABLE,
  type TestPlatform,
} from '../kit/platform.ts';
import { createConnectProxy, type ConnectProxy } from '../kit/connect-proxy.ts';
import { POLLING } from '../kit/waiting.ts';
import { startWechatBehind, type WechatBehind } from '../kit/wechat-behind.ts';

/** Calls to WeChat that are passed on, with a token that lives. */

const READER = makeApiKey('reader', 'credentials:read');
const NARROW = makeApiKey('narrow', `credentials:read@${CLASSIC.appid}`);
const DEAD = '{"errcode":40001,"errmsg":"invalid credential rid: 65a1-1-2"}';
let wechat: WechatBehind;
let platform: TestPlatform;
async function start(more: Record<string, string> = {}): Promise<void> {
  platform = await createTestPlatform({
    accounts: true,
    startApp: false,
    env: {
      // The first of them is not there.
      WECHAT_API_BASE_URLS: `http://127.0.0.1:9,${wechat.url}`,
      API_KEYS: `${READER.entry},${NARROW.entry}`,
      ...more,
    },
  });
  wechat.simulator = platform.simulator.url;
  await platform.app.start();
  platform.simulator.setCallbackUrl(COMPONENT.appid, platform.publicUrl());
  await platform.simulator.pushTicket();
  await platform.settle();
}
beforeEach(async () => {
  wechat = await startWechatBehind();
  await start();
});
afterEach(async () => {
  await platform.close();
  await wechat.close();
});

const origin = () => `http://127.0.0.1:${platform.app.internalPort()}`;
const keyed = (path: string, init: RequestInit = {}, key = READER.key) =>
  fetch(`${origin()}/v1/wechat/${path}`, {
    ...init,
    headers: { ...(init.headers as object), authorization: `Bearer ${key}` },
  });
/** As it is written: `fetch` tidies paths up. */
const raw = (path: string) =>
  new Promise<{ status: number }>((resolve, reject) => {
    const headers = { authorization: `Bearer ${READER.key}` };
    const url = new URL(origin());
    const options = { host: url.hostname, port: url.port, path: `/v1/wechat/${path}`, headers };
    http
      .get(options, (answer) => {
        answer.resume();
        resolve({ status: answer.statusCode ?? 0 });
      })
      .on('error', reject);
  });
const bare = (path: string, init: RequestInit = {}) => fetch(`${origin()}${path}`, init);
const latest = (appid = STABLE.appid) =>
  platform.simulator.latestMint('access_token', appid)?.value;
const sdkToken = async (appid = CLASSIC.appid) => {
  const answer = await bare(`/cgi-bin/token?appid=${appid}&secret=${READER.key}`);
  return ((await answer.json()) as { access_token: string }).access_token;
};
const last = () => wechat.calls.at(-1);
/** As WeChat does: a token that does not live is refused. */
const judging: http.RequestListener = (request, response) => {
  const token = new URL(request.url ?? '', 'http://x').searchParams.get('access_token') ?? '';
  const isLive = platform.simulator.isLive('access_token', token);
  request.resume().on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(isLive ? '{"errcode":0,"openid":"o1"}' : DEAD);
  });
};

describe('with a key and no token', () => {
  it('a call carries the token of its account, and what the caller has sent', async () => {
    const answer = await keyed(`${STABLE.appid}/cgi-bin/user/info?openid=o1&access_token=mine`, {
      method: 'POST',
      body: '{"a":1}',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '10.0.0.1' },
    });
    expect(await answer.text()).toBe('{"errcode":0}');
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(last()).toMatchObject({ method: 'POST', body: '{"a":1}' });
    expect(last()?.url.pathname).toBe('/cgi-bin/user/info');
    expect([...(last()?.url.searchParams ?? [])]).toEqual([
      ['openid', 'o1'],
      ['access_token', latest()],
    ]);
    const { headers } = last() ?? {};
    expect(headers).not.toHaveProperty('authorization');
    expect(headers).not.toHaveProperty('x-forwarded-for');
  });

  it('of an account that has authorized, and of the platform itself', async () => {
    await authorize(platform);
    await keyed(`${COMPONENT.appid}/${AUTHORIZER}/wxa/getpage`);
    const { simulator } = platform;
    const token = simulator.latestMint('authorizer_access_token', AUTHORIZER)?.value;
    expect(last()?.url.searchParams.get('access_token')).toBe(token);
    await keyed(`${COMPONENT.appid}/cgi-bin/component/other`);
    const own = simulator.latestMint('component_access_token')?.value;
    expect(last()?.url.searchParams.get('component_access_token')).toBe(own);
    await keyed(`${COMPONENT.appid}/wxa/gettemplatelist`);
    expect(last()?.url.searchParams.get('access_token')).toBe(own);
    expect(AUTHORIZED.subject).toContain(AUTHORIZER);
  });

  it.each([
    ['no key', () => bare(`/v1/wechat/${STABLE.appid}/cgi-bin/x`), 401],
    ['a wrong key', () => keyed(`${STABLE.appid}/cgi-bin/x`, {}, `${READER.key}x`), 401],
    ['a key for another account', () => keyed(`${STABLE.appid}/x`, {}, NARROW.key), 403],
    ['an unknown account', () => keyed('wx00000000000000ff/cgi-bin/x'), 404],
    ['a path that climbs', () => raw(`${STABLE.appid}/cgi-bin/%2e%2e/x`), 400],
    ['a path that climbs plainly', () => raw(`${STABLE.appid}/../x`), 400],
    ['a path with an escaped slash', () => keyed(`${STABLE.appid}/cgi-bin%2fx`), 400],
    ['a path with two slashes', () => keyed(`${STABLE.appid}//evil.example/x`), 400],
    ['no path', () => keyed(STABLE.appid), 404],
  ])('%s never reaches WeChat', async (_what, call, status) => {
    expect((await call()).status).toBe(status);
    expect(wechat.calls).toEqual([]);
  });

  it('a token that dies in mid-flight is replaced once, and the call repeated', async () => {
    wechat.answer(judging);
    const path = `${CLASSIC.appid}/cgi-bin/message/send`;
    const send = () => keyed(path, { method: 'POST', body: '{"text":"hi"}' });
    platform.simulator.mintElsewhere('access_token', CLASSIC.appid);
    // The former one works for five more minutes.
    await platform.pass(600_000);
    const answers = await Promise.all([send(), send(), send()]);
    for (const answer of answers) expect(await answer.text()).toBe('{"errcode":0,"openid":"o1"}');
    const ours = platform.simulator.ledger.mints.filter(
      ({ appid, kind, foreign }) =>
        kind === 'access_token' && appid === CLASSIC.appid && foreign !== true,
    );
    expect(ours).toHaveLength(2);
    expect(last()?.body).toBe('{"text":"hi"}');
  });

  it('what WeChat refuses for another reason is passed back as it is', async () => {
    wechat.answer((request, response) => {
      request.resume();
      response
        .writeHead(200, { 'content-type': 'text/plain' })
        .end('{"errcode":45009,"errmsg":"x"}');
    });
    const answer = await keyed(`${STABLE.appid}/cgi-bin/x`);
    expect(await answer.text()).toBe('{"errcode":45009,"errmsg":"x"}');
    expect(wechat.calls).toHaveLength(1);
  });
});

describe('as an SDK sends it', () => {
  it('a token that was replaced gives way to its successor; an unknown one stays', async () => {
    wechat.answer(judging);
    const old = await sdkToken();
    await platform.skip(2 * HOUR);
    const call = await bare(`/cgi-bin/user/info?access_token=${old}&openid=o1`);
    expect(await call.text()).toBe('{"errcode":0,"openid":"o1"}');
    expect(last()?.url.searchParams.get('access_token')).toBe(latest(CLASSIC.appid));
    const stranger = await bare('/cgi-bin/user/info?access_token=stranger');
    expect(await stranger.text()).toBe(DEAD);
    expect(last()?.url.searchParams.get('access_token')).toBe('stranger');
  });

  it('one that is dead is replaced, and the call repeated', async () => {
    wechat.answer(judging);
    const token = await sdkToken();
    platform.simulator.mintElsewhere('access_token', CLASSIC.appid);
    await platform.pass(600_000);
    const call = await bare(`/cgi-bin/user/info?access_token=${token}`);
    expect(await call.text()).toBe('{"errcode":0,"openid":"o1"}');
  });

  it('a key becomes the AppSecret where WeChat needs one, and never leaves', async () => {
    const login = `/sns/jscode2session?appid=${CLASSIC.appid}&js_code=c`;
    await bare(`${login}&secret=${READER.key}`);
    expect(last()?.url.searchParams.get('secret')).toBe(CLASSIC.secret);
    for (const path of [
      `/sns/jscode2session?appid=${STABLE.appid}&secret=${NARROW.key}`,
      `/sns/jscode2session?appid=${COMPONENT.appid}&secret=${READER.key}`,
      `/sns/jscode2session?appid=${CLASSIC.appid}&secret=${READER.key.slice(0, -1)}x`,
      `/cgi-bin/other?appid=${CLASSIC.appid}&secret=${READER.key}`,
      `/cgi-bin/other?access_token=x&note=${READER.key}`,
    ]) {
      const { errcode } = (await (await bare(path)).json()) as { errcode: number };
      expect([40013, 40125]).toContain(errcode);
    }
    expect(wechat.calls).toHaveLength(1);
  });

  it('what carries neither token nor key is no call of WeChat’s', async () => {
    expect((await bare('/cgi-bin/user/info')).status).toBe(404);
    expect((await bare('/v1/nothing?access_token=x')).status).toBe(404);
    expect(wechat.calls).toEqual([]);
  });
});

describe('streams', () => {
  it('20 MB up and down, with nothing of them kept', async () => {
    const part = randomBytes(64 * 1024);
    const parts = 320;
    wechat.answer((request, response) => {
      request.resume().on('end', () => {
        response.writeHead(200, { 'content-type': 'video/mp4' });
        let left = parts;
        const more = () => {
          while (left > 0) {
            left -= 1;
            if (!response.write(part)) return void response.once('drain', more);
          }
          response.end();
        };
        more();
      });
    });
    const path = `/v1/wechat/${STABLE.appid}/cgi-bin/media/upload?type=video`;
    const received = await new Promise<number>((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${READER.key}`,
        'content-length': String(part.length * parts),
      };
      const request = http.request(`${origin()}${path}`, { method: 'POST', headers }, (answer) => {
        let bytes = 0;
        answer.on('data', (chunk: Buffer) => (bytes += chunk.length));
        answer.on('end', () => resolve(bytes));
      });
      request.on('error', reject);
      let left = parts;
      const more = () => {
        while (left > 0) {
          left -= 1;
          if (!request.write(part)) return void request.once('drain', more);
        }
        request.end();
      };
      more();
    });
    expect(received).toBe(part.length * parts);
    expect(last()?.bytes).toBe(part.length * parts);
  });

  it('a client that leaves ends the call to WeChat', async () => {
    wechat.answer(() => undefined);
    const leaving = new AbortController();
    const asked = keyed(`${STABLE.appid}/cgi-bin/slow`, { signal: leaving.signal });
    const left = expect(asked).rejects.toThrow();
    await vi.waitFor(() => expect(wechat.calls).toHaveLength(1), POLLING);
    leaving.abort();
    await left;
    await vi.waitFor(() => expect(last()?.isBroken).toBe(true), POLLING);
  });

  it('WeChat breaks off: the client does not take it for a whole answer', async () => {
    wechat.answer((_request, response) => {
      response.writeHead(200, { 'content-type': 'video/mp4', 'content-length': '1000' });
      response.write('x'.repeat(10));
      setImmediate(() => response.destroy());
    });
    const answer = await keyed(`${STABLE.appid}/cgi-bin/media/get`);
    await expect(answer.arrayBuffer()).rejects.toThrow();
  });

  it('WeChat gives no answer: 502, since nobody knows whether it did what was asked', async () => {
    wechat.answer((_request, response) => response.destroy());
    const answer = await keyed(`${STABLE.appid}/cgi-bin/x`, { method: 'POST', body: '{}' });
    expect([answer.status, await answer.json()]).toMatchObject([502, { errcode: -1 }]);
    expect(wechat.calls).toHaveLength(1);
  });

  it('WeChat cannot be reached: -1, for nothing was done', async () => {
    await keyed(`${STABLE.appid}/cgi-bin/x`);
    await wechat.close();
    const answer = await keyed(`${STABLE.appid}/cgi-bin/x`);
    expect([answer.status, await answer.json()]).toMatchObject([200, { errcode: -1 }]);
  });

  it('leaves no token, key or secret in the log', async () => {
    const token = await sdkToken();
    await bare(`/cgi-bin/user/info?access_token=${token}`);
    await bare(`/sns/jscode2session?appid=${CLASSIC.appid}&js_code=c&secret=${READER.key}`);
    const told = JSON.stringify(platform.logs);
    for (const secret of [token, READER.key, CLASSIC.secret]) expect(told).not.toContain(secret);
    const metrics = await (await fetch(`${origin()}/metrics`)).text();
    expect(metrics).not.toContain(READER.key);
  });
});

describe('through a proxy', () => {
  let proxy: ConnectProxy;
  beforeEach(async () => {
    await platform.close();
    proxy = await createConnectProxy({ login: ['out', 'canary'] });
    await start({ HTTP_PROXY: proxy.urlWithLogin });
  });
  afterEach(() => proxy.stop());

  it('calls go the way that calls for tokens go', async () => {
    const before = proxy.asked.length;
    expect(await (await keyed(`${STABLE.appid}/cgi-bin/x`)).text()).toBe('{"errcode":0}');
    const asked = proxy.asked.slice(before).map(({ host }) => host);
    expect(asked).toContain(new URL(wechat.url).host);
    expect(JSON.stringify(platform.logs)).not.toContain('canary');
  });

  it('one that refuses is as if WeChat could not be reached', async () => {
    await keyed(`${STABLE.appid}/cgi-bin/x`);
    proxy.behave(403);
    wechat.answer((_request, response) => response.destroy());
    await keyed(`${STABLE.appid}/cgi-bin/x`);
    const calls = wechat.calls.length;
    const answer = await keyed(`${STABLE.appid}/cgi-bin/x`);
    expect([answer.status, await answer.json()]).toMatchObject([200, { errcode: -1 }]);
    expect(wechat.calls).toHaveLength(calls);
  });
});
