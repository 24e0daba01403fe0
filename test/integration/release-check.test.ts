import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { TEST_ACCOUNTS } from '../../src/authorizers/release-check.ts';
import {
  CHECKED_ACCOUNTS,
  runReleaseCheck,
  type CheckResult,
} from '../../src/sandbox/wechat/release-checker.ts';
import { openEnvelope } from '../../src/wechat/push/envelope.ts';
import { parsePushXml } from '../kit/parse-push-xml.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { asMessage, contents, EVENTS, MESSAGES, post } from '../kit/public-listener.ts';
import { encryptPush, type EnvelopeOptions } from '../kit/push-envelope.ts';
import { createTcpProxy } from '../kit/tcp-proxy.ts';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';

/** WeChat's check before a release; each pitfall that people report of it has a case here. */

const CODE_API = 'api_query_auth';
const SEND_API = 'send';
const [ACCOUNT = { appid: '', userName: '' }] = TEST_ACCOUNTS;
const CHECKED = `${EVENTS}/${ACCOUNT.appid}`;

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform({ ticket: true, simulator: { overlapSeconds: 300 } });
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
});
afterAll(() => platform.close());
// So that no test meets a message or a token of the one before.
beforeEach(async () => {
  platform.simulator.clearFaults();
  platform.logs.length = 0;
  await platform.pass(MINUTE);
});

const now = () => Math.floor(platform.clock.now() / 1000);
const calls = (api: string) => platform.simulator.ledger.calls.filter((one) => one.api === api);
const messages = () => platform.simulator.ledger.messages;
const grant = () => platform.simulator.grant(COMPONENT.appid, ACCOUNT.appid).code;
const logged = (text: string) => platform.logs.filter(({ message }) => message.includes(text));

function sealed(fields: Readonly<Record<string, string>>, options: EnvelopeOptions = {}) {
  const all = { ToUserName: ACCOUNT.userName, FromUserName: 'oChecker', CreateTime: now() };
  const xml = Object.entries({ ...all, ...fields }).map(
    ([name, text]) => `<${name}>${text}</${name}>`,
  );
  return asMessage(encryptPush(`<xml>${xml.join('')}</xml>`, { timestamp: now(), ...options }));
}
const sealedText = (content: string, options?: EnvelopeOptions) =>
  sealed({ MsgType: 'text', Content: content }, options);
const PLAIN = 'TESTCOMPONENT_MSG_TYPE_TEXT';
const sealedJson = () =>
  encryptPush(
    JSON.stringify({
      ToUserName: ACCOUNT.userName,
      FromUserName: 'oChecker',
      CreateTime: now(),
      MsgType: 'text',
      Content: PLAIN,
    }),
    { timestamp: now() },
  );

/** Posts without waiting for what follows the answer. */
async function send(push: { query: Readonly<Record<string, string>>; body: string | Buffer }) {
  const url = `${platform.publicUrl(CHECKED)}?${new URLSearchParams(push.query).toString()}`;
  const answer = await fetch(url, { method: 'POST', body: push.body });
  const { status, headers } = answer;
  return { status, type: headers.get('content-type'), text: await answer.text() };
}

/** The reply, opened with the keys that WeChat would open it with. */
function openReply(body: string, secrets = { ...COMPONENT, componentAppid: COMPONENT.appid }) {
  const { Encrypt, MsgSignature, TimeStamp, Nonce } = parsePushXml(body);
  const query = { signature: MsgSignature, timestamp: TimeStamp, nonce: Nonce } as Record<
    'signature' | 'timestamp' | 'nonce',
    string
  >;
  return openEnvelope(secrets, query, Encrypt as string);
}

const check = (accounts = CHECKED_ACCOUNTS, component: typeof COMPONENT = COMPONENT) =>
  runReleaseCheck(platform.simulator, {
    component,
    accounts,
    messageUrl: platform.publicUrl(`${EVENTS}/$APPID$`),
    now: () => platform.clock.now(),
  });
const failed = (results: CheckResult[]) => results.filter(({ ok }) => !ok);

describe('the whole check', () => {
  it('passes for all ten official accounts, of which the service knows none beforehand', async () => {
    const results = await check();
    expect(failed(results)).toEqual([]);
    expect(results).toHaveLength(70);
    expect(new Set(results.map(({ account }) => account.appid)).size).toBe(10);
    expect(Math.max(...results.map(({ tookMs }) => tookMs))).toBeLessThan(5000);
  });

  it('names the same accounts in the service and in the simulator', () => {
    expect(CHECKED_ACCOUNTS.map(({ appid, userName }) => ({ appid, userName }))).toEqual(
      TEST_ACCOUNTS,
    );
  });

  it('passes while WeChat still uses the former token and key', async () => {
    const former = {
      token: COMPONENT.previousToken,
      encodingAesKey: COMPONENT.previousEncodingAesKey,
    };
    expect(failed(await check(CHECKED_ACCOUNTS.slice(0, 1), { ...COMPONENT, ...former }))).toEqual(
      [],
    );
  });
});

describe('a reply', () => {
  it("is encrypted with the component's appid and answered as XML", async () => {
    const { status, type, text } = await send(sealedText(PLAIN));
    expect([status, type]).toEqual([200, 'text/xml; charset=utf-8']);
    const { message, usedPreviousKey, usedPreviousToken } = openReply(text);
    expect([usedPreviousKey, usedPreviousToken]).toEqual([false, false]);
    expect(parsePushXml(message)).toEqual({
      ToUserName: 'oChecker',
      FromUserName: ACCOUNT.userName,
      CreateTime: String(now()),
      MsgType: 'text',
      Content: `${PLAIN}_callback`,
    });
    const ofAccount = { ...COMPONENT, componentAppid: ACCOUNT.appid };
    expect(() => openReply(text, ofAccount)).toThrow('unreadable');
  });

  it('row 105: to an account that pushes JSON is JSON, outside and inside', async () => {
    const { query, encrypt } = sealedJson();
    const { type, text } = await send({ query, body: JSON.stringify({ Encrypt: encrypt }) });
    expect(type).toBe('application/json; charset=utf-8');
    const outer = JSON.parse(text) as Record<string, unknown>;
    expect(Object.keys(outer)).toEqual(['Encrypt', 'MsgSignature', 'TimeStamp', 'Nonce']);
    expect(outer).toMatchObject({ TimeStamp: now(), Nonce: query.nonce });
    const signed = {
      signature: String(outer.MsgSignature),
      timestamp: String(outer.TimeStamp),
      nonce: String(outer.Nonce),
    };
    const secrets = { ...COMPONENT, componentAppid: COMPONENT.appid };
    const { message } = openEnvelope(secrets, signed, String(outer.Encrypt));
    expect(JSON.parse(message)).toEqual({
      ToUserName: 'oChecker',
      FromUserName: ACCOUNT.userName,
      CreateTime: now(),
      MsgType: 'text',
      Content: `${PLAIN}_callback`,
    });
  });

  it('row 105: has the form of the envelope outside, and of the message inside', async () => {
    const { query, encrypt } = sealedJson();
    const mixed = asMessage({ query, encrypt });
    const { type, text } = await send(mixed);
    expect(type).toBe('text/xml; charset=utf-8');
    expect(JSON.parse(openReply(text).message)).toMatchObject({ MsgType: 'text' });
  });

  it('is encrypted with the key, and signed with the token, that the message came with', async () => {
    const former = { key: COMPONENT.previousEncodingAesKey, token: COMPONENT.previousToken };
    const { text } = await send(sealedText(PLAIN, former));
    const opened = openReply(text, { ...COMPONENT, componentAppid: COMPONENT.appid });
    expect(opened).toMatchObject({ usedPreviousKey: true, usedPreviousToken: true });
  });

  it('comes again when the message comes again, encrypted anew', async () => {
    const contentsOf = async (options: EnvelopeOptions) =>
      parsePushXml(openReply((await send(sealedText(PLAIN, options))).text).message).Content;
    expect(await contentsOf({})).toBe(`${PLAIN}_callback`);
    expect(await contentsOf({ random: 'fedcba9876543210' })).toBe(`${PLAIN}_callback`);
  });

  it('is not given when the message could not be stored', async () => {
    const key = platform.keys.events(COMPONENT.appid);
    await platform.redis.rename(key, `${key}:aside`);
    await platform.redis.set(key, 'no stream');
    try {
      expect(await post(platform, sealedText(PLAIN), CHECKED)).toMatch(/^503 /);
      expect(await post(platform, sealedText(`QUERY_AUTH_CODE:${grant()}`), CHECKED)).toMatch(
        /^503 /,
      );
      expect(calls(CODE_API).filter(({ at }) => at === platform.clock.now())).toEqual([]);
    } finally {
      await platform.redis.rename(`${key}:aside`, key);
    }
  });
});

describe('the code that the checker writes', () => {
  it('is answered with nothing before WeChat is called', async () => {
    const code = grant();
    const before = calls(CODE_API).length;
    platform.simulator.addFault({ api: CODE_API, fault: { type: 'delay', ms: 4000 } });
    expect(await send(sealedText(`QUERY_AUTH_CODE:${code}`))).toMatchObject({
      status: 200,
      text: '',
    });
    await vi.waitFor(() => expect(calls(CODE_API)).toHaveLength(before + 1));
    expect(messages().map(({ content }) => content)).not.toContain(`${code}_from_api`);
    await platform.pass(4000);
    expect(messages().at(-1)).toMatchObject({ touser: 'oChecker', content: `${code}_from_api` });
  });

  it('is everything behind the first colon, without the blanks around it', async () => {
    const code = grant();
    expect(code).toMatch(/^queryauthcode@@@/);
    expect(await post(platform, sealedText(`QUERY_AUTH_CODE: ${code} `), CHECKED)).toBe('200 ');
    expect(messages().at(-1)).toMatchObject({ content: `${code}_from_api` });
  });

  it('brings the token that is written with, whatever is stored for the account', async () => {
    platform.simulator.authorize(COMPONENT.appid, ACCOUNT.appid);
    const id = `${COMPONENT.appid}:${ACCOUNT.appid}`;
    const record = platform.keys.record({ kind: 'authorizer_access_token', subject: id });
    await platform.redis.hset(record, { value: 'a-stored-token', refresh_token: 'a-stored-one' });
    const before = await contents(platform);
    const code = grant();
    await post(platform, sealedText(`QUERY_AUTH_CODE:${code}`), CHECKED);
    expect(messages().at(-1)).toMatchObject({ content: `${code}_from_api` });
    const after = await contents(platform);
    const changed = Object.keys(after).filter((name) => after[name] !== before[name]);
    // The event stream, what repeats are recognised by and the counters of pushes: nothing else.
    for (const name of changed) expect(name).toMatch(/:(?:events|seen|push_stats):/);
    expect(await platform.redis.hgetall(record)).toMatchObject({ value: 'a-stored-token' });
    await platform.redis.del(record);
  });

  it('is exchanged though another one of the account was, and leaves that one be', async () => {
    const event = grant();
    await platform.simulator.push(COMPONENT.appid, 'authorized', {
      AuthorizerAppid: ACCOUNT.appid,
      AuthorizationCode: event,
      AuthorizationCodeExpiredTime: now() + 600,
    });
    await platform.settle();
    const code = grant();
    await post(platform, sealedText(`QUERY_AUTH_CODE:${code}`), CHECKED);
    expect(messages().at(-1)).toMatchObject({ content: `${code}_from_api` });
    expect(logged('release check: no message')).toEqual([]);
  });

  it('that comes again is answered alike and used once', async () => {
    const code = grant();
    const before = [calls(CODE_API).length, messages().length] as const;
    const texts = [`QUERY_AUTH_CODE:${code}`, { random: 'fedcba9876543210' }] as const;
    for (const options of [{}, texts[1], {}]) {
      expect(await post(platform, sealedText(texts[0], options), CHECKED)).toBe('200 ');
    }
    expect(calls(CODE_API)).toHaveLength(before[0] + 1);
    expect(messages()).toHaveLength(before[1] + 1);
  });

  it('is used when its message was stored and the answer of Redis was lost, with the delivery or by it', async () => {
    const server = await startRedisServer();
    const proxy = await createTcpProxy({ socketPath: server.url });
    const behind = await createTestPlatform({ ticket: true, redisUrl: proxy.url('redis') });
    try {
      const url = behind.publicUrl(CHECKED);
      const deliver = async ({ query, body }: ReturnType<typeof sealedText>) => {
        const search = new URLSearchParams(query).toString();
        const answer = await fetch(`${url}?${search}`, { method: 'POST', body });
        return `${answer.status} ${await answer.text()}`;
      };
      const asked = () => {
        const code = behind.simulator.grant(COMPONENT.appid, ACCOUNT.appid).code;
        const timestamp = Math.floor(behind.clock.now() / 1000);
        return { code, push: sealedText(`QUERY_AUTH_CODE:${code}`, { timestamp }) };
      };
      const used = () => behind.simulator.ledger.messages.map(({ content }) => content);
      // The account is looked up once, so that the next answer of Redis is about the message.
      expect(await deliver(asked().push)).toBe('200 ');
      await behind.settle();

      const cut = asked();
      proxy.dropNextReply();
      expect(await deliver(cut.push)).toBe('200 ');
      await behind.settle();
      expect(used()).toContain(`${cut.code}_from_api`);

      const slow = asked();
      proxy.pause('toClient');
      expect(await deliver(slow.push)).toMatch(/^503 /);
      proxy.resume('toClient');
      await expect.poll(() => deliver(slow.push), { timeout: 20_000 }).toBe('200 ');
      await behind.settle();
      expect(await deliver(slow.push)).toBe('200 ');
      await behind.settle();
      expect(used().filter((content) => content === `${slow.code}_from_api`)).toHaveLength(1);
      const sent = behind.simulator.ledger.calls.filter(({ api }) => api === CODE_API);
      expect(sent).toHaveLength(3);
    } finally {
      await behind.close();
      await proxy.close();
      await server.stop();
    }
  });

  it.each([
    [CODE_API, -1],
    [SEND_API, -1],
    [SEND_API, -1000],
  ] as const)('is tried once more when %s says %i', async (api, errcode) => {
    const code = grant();
    const before = calls(api).length;
    platform.simulator.addFault({ api, fault: { type: 'errcode', errcode } });
    expect(await post(platform, sealedText(`QUERY_AUTH_CODE:${code}`), CHECKED)).toBe('200 ');
    expect(calls(api)).toHaveLength(before + 1);
    await platform.pass(500);
    expect(messages().at(-1)).toMatchObject({ content: `${code}_from_api` });
    expect(calls(api)).toHaveLength(before + 2);
    expect(logged('release check: the message was sent')).toHaveLength(1);
  });

  it('is given up after the second time, and the log says so in words', async () => {
    const code = grant();
    const [before, sent] = [calls(SEND_API).length, messages().length];
    const fault = { type: 'errcode', errcode: -1 } as const;
    platform.simulator.addFault({ api: SEND_API, times: 2, fault });
    await post(platform, sealedText(`QUERY_AUTH_CODE:${code}`), CHECKED);
    expect(calls(SEND_API)).toHaveLength(before + 1);
    await platform.pass(500);
    expect(calls(SEND_API)).toHaveLength(before + 2);
    expect(messages()).toHaveLength(sent);
    expect(logged('release check: no message')).toMatchObject([
      {
        level: 'error',
        component: COMPONENT.appid,
        authorizer: ACCOUNT.appid,
        message: expect.stringContaining('WeChat is busy') as string,
      },
    ]);
    expect(JSON.stringify(platform.logs)).not.toContain(code);
  });

  it.each([
    [61009, 'code'],
    [61004, 'IP whitelist'],
  ])('that is refused with %i is not tried again: the log says why', async (errcode, words) => {
    const before = calls(CODE_API).length;
    platform.simulator.addFault({ api: CODE_API, fault: { type: 'errcode', errcode } });
    expect(await post(platform, sealedText(`QUERY_AUTH_CODE:${grant()}`), CHECKED)).toBe('200 ');
    expect(calls(CODE_API)).toHaveLength(before + 1);
    expect(logged('release check: no message')[0]?.message).toContain(words);
  });

  it('without a token in the answer ends in a hint at the permission sets', async () => {
    const info = { authorizer_appid: ACCOUNT.appid, func_info: [] };
    const fault = { type: 'patch', fields: { authorization_info: info } } as const;
    platform.simulator.addFault({ api: CODE_API, fault });
    await post(platform, sealedText(`QUERY_AUTH_CODE:${grant()}`), CHECKED);
    expect(logged('permission sets')).toMatchObject([{ level: 'error' }]);
  });

  it('is exchanged with a new component_access_token when the stored one is dead', async () => {
    await platform.pass(10 * MINUTE);
    platform.simulator.mintElsewhere('component_access_token');
    const fault = { type: 'errcode', errcode: 40001 } as const;
    platform.simulator.addFault({ api: CODE_API, fault });
    const code = grant();
    expect(await post(platform, sealedText(`QUERY_AUTH_CODE:${code}`), CHECKED)).toBe('200 ');
    expect(messages().at(-1)).toMatchObject({ content: `${code}_from_api` });
  });
});

describe('an ordinary account', () => {
  it.each([
    ['the text', { MsgType: 'text', Content: PLAIN }],
    ['a code', { MsgType: 'text', Content: 'QUERY_AUTH_CODE:queryauthcode@@@x' }],
    ['an event', { MsgType: 'event', Event: 'LOCATION' }],
  ])('that is sent %s of the check gets `success` and nothing else', async (_what, fields) => {
    const before = [calls(CODE_API).length, messages().length];
    const push = sealed({ ...fields, ToUserName: 'gh_0123456789ab' });
    expect(await post(platform, push, MESSAGES)).toBe('200 success');
    expect([calls(CODE_API).length, messages().length]).toEqual(before);
  });

  it('other texts of a test account get `success`, too', async () => {
    expect(await post(platform, sealedText('hello'), CHECKED)).toBe('200 success');
  });
});
