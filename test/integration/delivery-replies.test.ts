import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  APPLICATION,
  CONSOLE,
  jsonRoute,
  messagePush,
  messageXml,
  ROUTES,
  says,
  stateOf,
} from '../kit/delivering.ts';
import { COMPONENT, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { MESSAGES, post } from '../kit/public-listener.ts';
import { encryptByHand, wrapPush, type EnvelopeOptions } from '../kit/push-envelope.ts';
import { startTarget, status, type Target } from '../kit/targets.ts';
import { POLLING } from '../kit/waiting.ts';
import { openPush, sealReply, type EnvelopeSecrets } from '../../src/wechat/push/envelope.ts';
import { readPush } from '../../src/wechat/push/read-push.ts';

/** Users who are answered by an application while WeChat waits. */

const PREVIOUS = { token: COMPONENT.previousToken, key: COMPONENT.previousEncodingAesKey };

let target: Target;
let platform: TestPlatform;
beforeEach(async () => {
  target = await startTarget();
});
afterEach(async () => {
  await platform.close();
  await target.close();
});

async function start(mode: keyof typeof ROUTES, ...more: object[]): Promise<void> {
  const route = ROUTES[mode](target, { name: 'app', reply: true });
  platform = await createTestPlatform({ routes: [route, ...more], ticket: true });
}

const now = () => Math.floor(platform.clock.now() / 1000);
const message = (id: number, fields: Readonly<Record<string, string>> = {}) =>
  messageXml(platform, { MsgId: id, ...fields });
const pushOf = (xml: string, options: EnvelopeOptions = {}) => messagePush(platform, xml, options);
const ask = (xml = message(1), options: EnvelopeOptions = {}) =>
  post(platform, pushOf(xml, options), MESSAGES);

/** Without waiting for what follows the answer. */
async function askOnly(xml: string): Promise<string> {
  const { query, body } = pushOf(xml);
  const url = `${platform.publicUrl(MESSAGES)}?${new URLSearchParams(query).toString()}`;
  const answer = await fetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'text/xml' },
  });
  return `${answer.status} ${await answer.text()}`;
}

/** What the user reads, as WeChat opens it. */
function read(answer: string, secrets: EnvelopeSecrets = CONSOLE): Record<string, unknown> {
  const body = answer.replace(/^200 /, '');
  const part = (name: string) =>
    new RegExp(`<${name}>(?:<!\\[CDATA\\[)?([^<\\]]*)|"${name}":"?([^",}]*)`)
      .exec(body)
      ?.slice(1)
      .find(Boolean);
  const query = {
    timestamp: part('TimeStamp'),
    nonce: part('Nonce'),
    msg_signature: part('MsgSignature'),
  };
  const { message: text } = openPush(secrets, query, Buffer.from(body));
  return readPush(text, { typed: false }).fields;
}

const REPLY_XML =
  '<xml><ToUserName><![CDATA[o1]]></ToUserName><FromUserName><![CDATA[gh_1]]></FromUserName>' +
  '<CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[你好]]></Content></xml>';
const encryptedBy = (secrets: EnvelopeSecrets) =>
  sealReply(secrets, 'xml', { reply: REPLY_XML, timestamp: now(), nonce: 'n1' });
const state = () => stateOf(platform, 'app');

describe('row 171: a reply', () => {
  it('of a raw target is passed back, byte by byte', async () => {
    await start('raw');
    const body = encryptedBy(CONSOLE);
    target.answer(says(body));
    expect(await ask()).toBe(`200 ${body}`);
    expect(await state()).toMatchObject({ delivered: 1, underWay: 0 });
    expect(target.requests).toHaveLength(1);
  });

  it('of a sealed target is encrypted with the key of the push, also with the previous one', async () => {
    await start('sealed');
    target.answer(says(encryptedBy(APPLICATION)));
    expect(read(await ask())).toMatchObject({ Content: '你好' });
    const previous = { ...CONSOLE, token: PREVIOUS.token, encodingAesKey: PREVIOUS.key };
    expect(read(await ask(message(2), PREVIOUS), previous)).toMatchObject({ Content: '你好' });
  });

  it.each([
    [
      { type: 'text', content: 'a ]]> b' },
      { MsgType: 'text', Content: 'a ]]> b' },
    ],
    [
      { type: 'image', media_id: 'm' },
      { MsgType: 'image', Image: { MediaId: 'm' } },
    ],
    [
      { type: 'voice', media_id: 'm' },
      { MsgType: 'voice', Voice: { MediaId: 'm' } },
    ],
    [
      { type: 'video', media_id: 'm', title: 't' },
      { MsgType: 'video', Video: { MediaId: 'm', Title: 't' } },
    ],
    [
      { type: 'music', thumb_media_id: 'm', hq_music_url: 'https://a.example/' },
      { MsgType: 'music', Music: { HQMusicUrl: 'https://a.example/', ThumbMediaId: 'm' } },
    ],
    [
      { type: 'news', articles: [{ title: 'a', url: 'https://a.example/' }, { title: 'b' }] },
      {
        MsgType: 'news',
        ArticleCount: '2',
        Articles: { item: [{ Title: 'a', Url: 'https://a.example/' }, { Title: 'b' }] },
      },
    ],
    [
      { type: 'transfer_customer_service', kf_account: 'k@a' },
      { MsgType: 'transfer_customer_service', TransInfo: { KfAccount: 'k@a' } },
    ],
  ])('%j in JSON becomes what WeChat takes', async (given, expected) => {
    await start('json');
    target.answer(says(JSON.stringify(given)));
    const fields = read(await ask());
    expect(fields).toMatchObject({ ToUserName: 'o1', FromUserName: 'gh_1', ...expected });
  });

  it('is in JSON where WeChat pushes JSON', async () => {
    await start('json');
    target.answer(says('{"type":"text","content":"hi"}'));
    const json = JSON.stringify({
      ToUserName: 'gh_1',
      FromUserName: 'o1',
      CreateTime: now(),
      MsgType: 'text',
      Content: 'hello',
      MsgId: 7,
    });
    const { query, encrypt } = wrapPush(encryptByHand(json), { timestamp: now() });
    const body = JSON.stringify({ ToUserName: 'gh_1', Encrypt: encrypt });
    const answer = await post(platform, { query, body }, MESSAGES);
    expect(answer).toMatch(/^200 \{"Encrypt"/);
    expect(read(answer)).toMatchObject({ MsgType: 'text', Content: 'hi' });
  });

  it.each([
    ['json', 'nothing', ''],
    ['raw', 'success', 'success'],
    ['json', 'a page', '<html>502</html>'],
    ['json', 'an unknown type', '{"type":"dance"}'],
    ['json', 'a text without content', '{"type":"text"}'],
    ['raw', 'a reply in clear text', REPLY_XML],
    ['sealed', 'a reply encrypted with another key', encryptByHand('<xml/>')],
  ] as const)('of a %s target that is %s is `success` to WeChat', async (mode, _what, body) => {
    await start(mode);
    target.answer(says(body));
    expect(await ask()).toBe('200 success');
    expect(await state()).toMatchObject({ delivered: 1 });
  });

  it('that WeChat would not trust is told in the log, without what was in it', async () => {
    await start('raw');
    target.answer(says(encryptedBy({ ...CONSOLE, token: 'canaryToken' })));
    expect(await ask()).toBe('200 success');
    const line = platform.logs.find(({ message: text }) => text.includes('no reply from a target'));
    expect(line).toMatchObject({ route: 'app', reply: 'malformed' });
  });

  it('that fails is `success`, and the delivery goes on by itself', async () => {
    await start('json');
    target.answer(status(500));
    expect(await ask()).toBe('200 success');
    target.answer(says('{"type":"text","content":"too late"}'));
    await platform.pass(MINUTE);
    expect(target.requests).toHaveLength(2);
    expect(await state()).toMatchObject({ delivered: 1, again: 0 });
  });

  it('that takes too long is `success` after 4.5 seconds; WeChat’s repeat gets what came first, and is no second delivery', async () => {
    await start('json');
    let release = () => {};
    target.answer((_request, response) => {
      release = () => response.end('{"type":"text","content":"slow"}');
    });
    const push = pushOf(message(1));
    const first = post(platform, push, MESSAGES);
    await vi.waitFor(() => expect(target.requests).toHaveLength(1), POLLING);
    const second = post(platform, push, MESSAGES);
    await platform.clock.advance(1_000, turn);
    release();
    expect(read(await first)).toMatchObject({ Content: 'slow' });
    await vi.waitFor(async () => expect(await state()).toMatchObject({ delivered: 1 }), POLLING);
    expect(read(await advanceUntil(second))).toMatchObject({ Content: 'slow' });

    const late = askOnly(message(2));
    await vi.waitFor(() => expect(target.requests).toHaveLength(2), POLLING);
    await platform.clock.advance(4_400, turn);
    const early = await Promise.race([late, turn().then(() => 'waiting')]);
    expect(early).toBe('waiting');
    expect(await advanceUntil(late)).toBe('200 success');
    target.answer(status(200));
    await platform.pass(MINUTE);
    expect(await state()).toMatchObject({ delivered: 2, again: 0, underWay: 0 });
  });

  it('comes from the first route that replies; the others get the message as well', async () => {
    const other = await startTarget();
    try {
      await start('json', jsonRoute(other, { name: 'second', reply: true }));
      target.answer(says('{"type":"text","content":"first"}'));
      other.answer(says('{"type":"text","content":"second"}'));
      expect(read(await ask())).toMatchObject({ Content: 'first' });
      await platform.settle();
      expect(other.requests).toHaveLength(1);
    } finally {
      await other.close();
    }
  });

  it('that users do not get is told after the third of them, until one gets his', async () => {
    await start('json');
    target.answer(says('<html>502</html>'));
    const found = async () => {
      const { problems } = (await (await platform.internal('/status')).json()) as {
        problems: { code: string; message: string }[];
      };
      return problems.filter(({ code }) => code === 'replies_failing');
    };
    for (const id of [1, 2]) await ask(message(id));
    expect(await found()).toEqual([]);
    await ask(message(3));
    expect(await found()).toMatchObject([
      { message: expect.stringContaining('the last 3 users got none') as string },
    ]);
    target.answer(says('success'));
    await ask(message(4));
    expect(await found()).toEqual([]);
  });

  it('is asked for by one user at a time of a target that was left alone, until it answers', async () => {
    await start('json');
    const key = platform.keys.deliveries(COMPONENT.appid, 'app').target;
    await platform.redis.hset(key, { failures: 5, open_until: platform.clock.now() - 1 });
    let release = () => {};
    target.answer((_request, response) => {
      release = () => response.end('{"type":"text","content":"back"}');
    });
    const first = post(platform, pushOf(message(1)), MESSAGES);
    await vi.waitFor(() => expect(target.requests).toHaveLength(1), POLLING);
    expect(await askOnly(message(2))).toBe('200 success');
    expect(target.requests).toHaveLength(1);
    release();
    expect(read(await first)).toMatchObject({ Content: 'back' });
    target.answer(says('{"type":"text","content":"well"}'));
    expect(read(await ask(message(3)))).toMatchObject({ Content: 'well' });
  });

  it('of the release check takes precedence, and the target still gets the message', async () => {
    await start('json');
    target.answer(says('{"type":"text","content":"not this"}'));
    const check = message(9, {
      ToUserName: 'gh_3c884a361561',
      Content: 'TESTCOMPONENT_MSG_TYPE_TEXT',
    });
    const path = `/callback/${COMPONENT.appid}/wx570bc396a51b8ff8`;
    const answer = await post(platform, pushOf(check), path);
    expect(read(answer)).toMatchObject({ Content: 'TESTCOMPONENT_MSG_TYPE_TEXT_callback' });
    await platform.pass(MINUTE);
    expect(target.requests).toHaveLength(1);
    expect(await state()).toMatchObject({ delivered: 1 });
  });
});

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

/** As little as it takes: what is awaited has a deadline of its own, by the same clock. */
async function advanceUntil<T>(promise: Promise<T>): Promise<T> {
  const ended = promise.then(() => true);
  for (let step = 0; step < 40; step += 1) {
    await platform.clock.advance(50, turn);
    const pause = new Promise<false>((resolve) => setTimeout(() => resolve(false), 25));
    if (await Promise.race([ended, pause])) break;
  }
  return promise;
}
