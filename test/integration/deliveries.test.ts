import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  APP,
  jsonRoute,
  messagePush,
  messageXml,
  rawRoute,
  sealedRoute,
  SECRET,
  sendMessage,
  stateOf,
} from '../kit/delivering.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';
import { MESSAGES, newestEvents, post } from '../kit/public-listener.ts';
import {
  startTarget,
  status,
  type Answering,
  type Target,
  type TargetRequest,
} from '../kit/targets.ts';
import { POLLING } from '../kit/waiting.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { readKeptPush } from '../../src/store/deliveries/kept-push.ts';
import { moveDeliveries } from '../../src/store/deliveries/queue.ts';
import { resumeTarget } from '../../src/store/deliveries/target-state.ts';
import { openPush } from '../../src/wechat/push/envelope.ts';

/** Pushes on their way to applications: what each is sent, and what becomes of it when it fails. */

const OLD_SECRET = `whsec_${Buffer.alloc(24, 9).toString('base64')}`;

let target: Target;
let other: Target;
let platform: TestPlatform;
beforeEach(async () => {
  [target, other] = await Promise.all([startTarget(), startTarget()]);
});
afterEach(async () => {
  await platform.close();
  await Promise.all([target.close(), other.close()]);
});

async function start(...routes: object[]): Promise<void> {
  platform = await createTestPlatform({ routes, ticket: true });
}

const raw = (fields: object = {}) => rawRoute(target, fields);
const json = (fields: object = {}) => jsonRoute(target, fields);
const now = () => Math.floor(platform.clock.now() / 1000);
const message = (fields: Readonly<Record<string, string | number>> = {}) =>
  messageXml(platform, fields);
const send = (fields: Readonly<Record<string, string | number>> = {}) =>
  sendMessage(platform, fields);
const statesOf = (name: string) => stateOf(platform, name);

/** As an application opens it that knows only its own token and key. */
function openForApp({ url, body }: TargetRequest): string {
  const query = Object.fromEntries(url.searchParams);
  const secrets = { componentAppid: COMPONENT.appid, ...APP };
  return openPush(secrets, query, Buffer.from(body)).message;
}

const TOKEN = authorizerToken(COMPONENT.appid, AUTHORIZER);
const WECHAT_BUSY = {
  api: 'api_query_auth',
  times: 1,
  fault: { type: 'body', body: '{"errcode":-1,"errmsg":"system error"}' },
} as const;
const reset: Answering = (_request, response) => response.destroy();

describe('a route', () => {
  it('passes a message on as WeChat sent it: every byte, the whole query, the content type', async () => {
    await start(raw({ target: `${target.url}/wx/$APPID$/callback?app=a%20b` }));
    const push = await send();
    const [request, ...more] = target.requests;
    expect(more).toEqual([]);
    expect(request?.url.pathname).toBe(`/wx/${AUTHORIZER}/callback`);
    const query = Object.fromEntries(request?.url.searchParams ?? []);
    expect(query).toEqual({ app: 'a b', ...push.query });
    expect(request?.body).toBe(push.body);
    expect(request?.headers).toMatchObject({ 'content-type': 'text/xml' });
  });

  it('encrypts anew with the token and key of the application, also what came under the previous key', async () => {
    await start(sealedRoute(target));
    const xml = message();
    await send();
    const previous = { token: COMPONENT.previousToken, key: COMPONENT.previousEncodingAesKey };
    const later = message({ Content: 'again', MsgId: '2' });
    const push = messagePush(platform, later, previous);
    expect(await post(platform, push, MESSAGES)).toBe('200 success');
    await platform.settle();
    expect(target.requests.map(openForApp)).toEqual([xml, later]);
    expect(target.requests[0]?.body).toMatch(
      /^<xml><ToUserName><!\[CDATA\[gh_1\]\]><\/ToUserName>/,
    );
  });

  it('sends JSON that a receiver of Standard Webhooks verifies, with two secrets while they change', async () => {
    await start(json({ secrets: [SECRET, OLD_SECRET] }));
    await send({ Content: '你好 00123', MsgId: '23456789012345678999' });
    const [request] = target.requests;
    const body = request?.body ?? '';
    // Its tolerance is by the system's clock, which the tests do not move.
    const atItsTime = (secret: string) => {
      const signed = Number(request?.headers['webhook-timestamp']) * 1000;
      const id = request?.headers['webhook-id'] ?? '';
      return new Webhook(secret).sign(id, new Date(signed), body);
    };
    const signatures = [SECRET, OLD_SECRET].map(atItsTime).join(' ');
    expect(request?.headers['webhook-signature']).toBe(signatures);
    expect(request?.headers['webhook-timestamp']).toBe(String(now()));
    const [entry] = await newestEvents(platform);
    expect(request?.headers['webhook-id']).toBe(entry?.id);
    expect(JSON.parse(body)).toMatchObject({
      id: entry?.id,
      type: 'text',
      component_appid: COMPONENT.appid,
      authorizer_appid: AUTHORIZER,
      data: { Content: '你好 00123', MsgId: '23456789012345678999' },
    });
  });

  it('gets a ticket only where it names it, and never in JSON', async () => {
    const named = { info_type: ['component_verify_ticket'] };
    await start(
      raw({ name: 'all' }),
      raw({ name: 'star', match: { info_type: '*' } }),
      raw({ name: 'named', target: other.url, match: named }),
      json({ target: other.url, match: named }),
    );
    await platform.settle();
    const ticket = (await platform.redis.get(platform.keys.ticketMirror(COMPONENT.appid))) ?? '';
    expect(target.requests).toEqual([]);
    expect(other.requests).toHaveLength(2);
    for (const { body } of other.requests) expect(body).not.toContain(ticket);
  });

  it('takes what it names: accounts, types and events, in any case of letters', async () => {
    await start(
      raw({ name: 'a', match: { authorizer: ['wx00000000000000ff'] } }),
      raw({ name: 'b', match: { msg_type: 'IMAGE' } }),
      raw({ name: 'c', match: { event: ['click', 'VIEW'] } }),
      raw({ name: 'd', match: { info_type: '*' } }),
      json({ name: 'e', match: { authorizer: [AUTHORIZER], msg_type: '*' } }),
    );
    await send({ Content: 'hello', MsgId: '1' });
    await send({ MsgType: 'image', MsgId: '2' });
    await send({ MsgType: 'event', Event: 'CLICK', EventKey: 'k' });
    const kinds = target.requests.map(({ headers }) => headers['webhook-signature'] !== undefined);
    expect(kinds.filter(Boolean)).toHaveLength(3);
    expect(kinds.filter((one) => !one)).toHaveLength(2);
  });

  it('hears once of a push that WeChat repeats', async () => {
    await start(raw(), json({ target: other.url }));
    const push = await send();
    expect(await post(platform, push, MESSAGES)).toBe('200 success');
    await platform.settle();
    expect([target.requests.length, other.requests.length]).toEqual([1, 1]);
  });

  it('hears of an authorization only when its code is exchanged, and not of the code', async () => {
    await start(json({ match: { info_type: ['authorized'] } }));
    const recordOf = () => platform.redis.hget(platform.keys.record(TOKEN), 'refresh_token');
    const stored: unknown[] = [];
    target.answer(async (_request, response) => {
      stored.push(await recordOf());
      response.end();
    });
    platform.simulator.addFault(WECHAT_BUSY);
    const { code } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
    await platform.simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, code);
    await platform.settle();
    expect(target.requests).toEqual([]);
    await platform.pass(2 * MINUTE);
    expect(stored).toEqual([platform.simulator.refreshTokenOf(COMPONENT.appid, AUTHORIZER)]);
    expect(target.requests[0]?.body).not.toContain(code);
  });
});

describe('row 169: a delivery that fails', () => {
  it('is tried eleven times in a day with growing pauses, then kept as a dead letter, and replayed', async () => {
    await start(json());
    target.answer(status(500));
    await send();
    await platform.skip(30 * HOUR);
    expect(target.requests).toHaveLength(11);
    const [first, ...others] = target.requests;
    for (const { body, headers } of others) {
      expect(body).toBe(first?.body);
      expect(headers['webhook-id']).toBe(first?.headers['webhook-id']);
    }
    expect(await statesOf('json')).toMatchObject({ dead: 1, again: 0, fresh: 0, failures: 11 });
    const id = first?.headers['webhook-id'] ?? '';
    const kept = await readKeptPush(platform.store, COMPONENT.appid, id);
    expect(kept?.attempts).toHaveLength(11);
    target.answer(status(204));
    await moveDeliveries(platform.store, COMPONENT.appid, 'json', 'replay', 'dead', [id]);
    await platform.pass(10 * MINUTE);
    expect(target.requests).toHaveLength(12);
    expect(await statesOf('json')).toMatchObject({ dead: 0, failures: 0, delivered: 1, bytes: 0 });
    expect(await platform.redis.hexists(platform.keys.push(COMPONENT.appid, id), 'json')).toBe(0);
  }, 120_000);

  it('is not tried before the time that the target names, with a date or in seconds', async () => {
    await start(json());
    target.answer(status(429, { 'retry-after': '600' }));
    await send();
    await platform.pass(9 * MINUTE);
    expect(target.requests).toHaveLength(1);
    const date = new Date(platform.clock.now() + 30 * MINUTE).toUTCString();
    target.answer(status(503, { 'retry-after': date }));
    await platform.pass(2 * MINUTE);
    expect(target.requests).toHaveLength(2);
    await platform.pass(20 * MINUTE);
    target.answer(status(200));
    await platform.pass(10 * MINUTE);
    expect(target.requests).toHaveLength(3);
    expect(await statesOf('json')).toMatchObject({ delivered: 1, failures: 0 });
  });

  it('stops a target that is gone until somebody resumes it; nothing is lost', async () => {
    await start(json(), raw({ target: other.url }));
    target.answer(status(410));
    await send({ Content: 'one', MsgId: '1' });
    await send({ Content: 'two', MsgId: '2' });
    await platform.pass(2 * HOUR);
    expect(target.requests).toHaveLength(1);
    expect(other.requests).toHaveLength(2);
    target.answer(status(200));
    await resumeTarget(platform.store, COMPONENT.appid, 'json');
    await platform.pass(MINUTE);
    expect(new Set(target.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
    expect(await statesOf('json')).toMatchObject({ delivered: 2, again: 0, fresh: 0 });
  });

  it('leaves a target that is down alone for growing pauses, and gives it everything when it is back', async () => {
    await start(json(), raw({ target: other.url }));
    target.answer((_request, response) => response.destroy());
    for (let i = 0; i < 40; i += 1) await send({ Content: 'x', MsgId: String(i + 1) });
    await platform.pass(HOUR);
    expect(other.requests).toHaveLength(40);
    // Forty deliveries, of which each would have been tried five times by then.
    expect(target.requests.length).toBeLessThan(40);
    target.answer(status(200));
    await platform.pass(HOUR);
    expect(await statesOf('json')).toMatchObject({
      delivered: 40,
      fresh: 0,
      again: 0,
      underWay: 0,
    });
  }, 60_000);

  it.each([
    ['a redirect', status(302, { location: 'http://127.0.0.1:9/' }), 302],
    ['an answer that is cut', reset, 'unreachable'],
    ['one that says no', status(404), 404],
  ] as const)('%s is a failure, and is not followed', async (_name, answering, told) => {
    await start(json());
    target.answer(answering);
    await send();
    expect(target.requests).toHaveLength(1);
    expect(JSON.parse((await statesOf('json')).answered ?? '')).toMatchObject({ status: told });
  });

  it('one that hangs behind the headers ends after ten seconds; 10 MB are not read', async () => {
    await start(json(), json({ name: 'large', target: other.url }));
    target.answer((_request, response) => response.writeHead(200).write('a'));
    other.answer((_request, response) => response.end(Buffer.alloc(10 * 1024 * 1024)));
    const push = messagePush(platform, message());
    const posted = post(platform, push, MESSAGES);
    await vi.waitFor(() => expect(target.requests).toHaveLength(1), POLLING);
    await platform.clock.advance(10_000, () => new Promise((resolve) => setImmediate(resolve)));
    expect(await posted).toBe('200 success');
    expect(JSON.parse((await statesOf('json')).answered ?? '')).toMatchObject({
      status: 'timeout',
    });
    expect(await statesOf('large')).toMatchObject({ delivered: 1 });
  });
});

describe('row 170: a target', () => {
  it.each(['http://127.0.0.1:9/', 'http://[::ffff:127.0.0.1]:9/', 'http://localhost:9/'])(
    '%s is not called unless its network is allowed',
    async (url) => {
      const networks = { DELIVERY_NETWORKS: '10.0.0.0/8' };
      platform = await createTestPlatform({
        routes: [json({ target: url })],
        ticket: true,
        env: networks,
      });
      await send();
      const { answered } = await statesOf('json');
      expect(JSON.parse(answered ?? '')).toMatchObject({ status: 'forbidden_address' });
    },
  );

  it('learns user and password of its address, and the log does not', async () => {
    await start(json({ target: target.url.replace('//', '//shop:canary%2Dsecret@') }));
    target.answer(status(500));
    await send();
    const basic = Buffer.from('shop:canary-secret').toString('base64');
    expect(target.requests[0]?.headers.authorization).toBe(`Basic ${basic}`);
    expect(JSON.stringify(platform.logs)).not.toMatch(/canary/);
  });
});
