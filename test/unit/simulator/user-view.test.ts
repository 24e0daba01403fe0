import { describe, expect, it } from 'vitest';
import { sealReply, type EnvelopeSecrets } from '../../../src/wechat/push/envelope.ts';
import {
  COMPONENT,
  control,
  openJson,
  open,
  START,
  startWithReceiver,
  until,
  type Receiver,
} from './harness.ts';

/** What users see of a service that answers by itself, without wxkeeper before it. */

const AUTHORIZER = 'wx00000000000000aa';
const ENDS = { ToUserName: 'gh_1', FromUserName: 'o1' };
const TEXT = { ...ENDS, MsgType: 'text', Content: 'hi' };
const SECRETS: EnvelopeSecrets = {
  componentAppid: COMPONENT.appid,
  token: COMPONENT.token,
  encodingAesKey: COMPONENT.encodingAesKey,
};
const BACK = '<ToUserName>o1</ToUserName><FromUserName>gh_1</FromUserName>';
const HELLO = `<xml>${BACK}<MsgType>text</MsgType><Content>hello</Content></xml>`;
const JSON_HELLO =
  '{"ToUserName":"o1","FromUserName":"gh_1","CreateTime":1,"MsgType":"text","Content":"hello"}';
const NOTICE = '该公众号提供的服务出现故障，请稍后再试';

function seal(reply: string, form: 'xml' | 'json' = 'xml', secrets = SECRETS): string {
  return sealReply(secrets, form, { reply, timestamp: START / 1000, nonce: 'n' });
}

async function start(body: string, httpStatus = 200, options = {}) {
  const setup = await startWithReceiver(options);
  setup.receiver.reply = { status: httpStatus, body };
  const ask = (fields = {}, fault = {}) =>
    setup.simulator.pushMessage(undefined, AUTHORIZER, { ...TEXT, ...fields }, fault);
  return { ...setup, ask };
}

describe('a user sees', () => {
  it.each(['success', ''])('nothing of "%s"', async (body) => {
    const { ask } = await start(body);
    expect(await ask()).toMatchObject({ accepted: true, answer: body, user: { sees: 'nothing' } });
  });

  it('a text, as it is', async () => {
    const content = '<![CDATA[ a ]]]]><![CDATA[> <Content>b</Content> \n]]>';
    const { ask } = await start(seal(HELLO.replace('hello', content)));
    const { user, accepted } = await ask();
    expect(accepted).toBe(true);
    expect(user).toEqual({ sees: 'text', text: ' a ]]> <Content>b</Content> \n' });
  });

  it('a text in JSON, when the push was that', async () => {
    const { ask } = await start(seal(JSON_HELLO, 'json'), 200, { format: 'json' });
    expect(await ask()).toMatchObject({ accepted: true, user: { sees: 'text', text: 'hello' } });
  });

  it.each([
    ['image', '<Image><MediaId>m</MediaId></Image>', { Image: { MediaId: 'm' } }],
    ['voice', '<Voice><MediaId>m</MediaId></Voice>', { Voice: { MediaId: 'm' } }],
    [
      'music',
      '<Music><Title>t</Title><ThumbMediaId>m</ThumbMediaId></Music>',
      { Music: { Title: 't', ThumbMediaId: 'm' } },
    ],
    [
      'news',
      '<ArticleCount>1</ArticleCount><Articles><item><Title>t</Title></item></Articles>',
      { ArticleCount: '1', Articles: { item: { Title: 't' } } },
    ],
  ])('a reply of the type %s by its fields', async (type, content, fields) => {
    const { ask } = await start(seal(`<xml>${BACK}<MsgType>${type}</MsgType>${content}</xml>`));
    expect((await ask()).user).toEqual({ sees: type, fields });
  });

  it.each<[string, string, RegExp]>([
    ['clear text', 'hello', /no document; it must be XML/],
    ['clear XML', HELLO, /lacks Encrypt, .*: it is not encrypted$/],
    ['JSON for XML', seal(JSON_HELLO, 'json'), /in the other form/],
    ['JSON in XML', seal(JSON_HELLO), /what is encrypted in the reply must be XML/],
    ['torn XML', seal(HELLO.replace('</Content>', '')), /what is encrypted .* must be XML/],
    ['a wrong signature', seal(HELLO, 'xml', { ...SECRETS, token: 'other' }), /MsgSignature/],
    [
      'another key',
      seal(HELLO, 'xml', { ...SECRETS, encodingAesKey: COMPONENT.previousEncodingAesKey }),
      /cannot be decrypted/,
    ],
    [
      'another platform',
      seal(HELLO, 'xml', { ...SECRETS, componentAppid: 'gh_1' }),
      /account's id/,
    ],
    ['the user as sender', seal(HELLO.replace('o1', 'gh_1')), /are not swapped/],
    ['somebody else', seal(HELLO.replace('o1', 'o2')), /ToUserName of the reply is "o2"/],
    ['an unknown type', seal(HELLO.replace('text', 'dance')), /MsgType of the reply is "dance"/],
    ['an inherited name', seal(HELLO.replace('text', 'toString')), /is "toString"/],
    ['no text', seal(HELLO.replace('hello', ' ')), /Content of the reply is missing or empty/],
    ['no picture', seal(HELLO.replace('text', 'image')), /Image.MediaId of the reply is missing/],
  ])('an error after %s, and the record says why', async (_what, body, reason) => {
    const { ask } = await start(body);
    expect(await ask()).toMatchObject({
      accepted: false,
      answer: body,
      user: { sees: 'error', text: NOTICE, reason: expect.stringMatching(reason) as string },
    });
  });

  it.each([
    [500, /status 500/],
    [302, /a redirect/],
  ])('an error after status %i, whatever the body', async (code, reason) => {
    const { ask } = await start('success', code);
    const { accepted, user } = await ask();
    expect(accepted).toBe(false);
    expect(user?.reason).toMatch(reason);
  });

  it('an error after five seconds without an answer', async () => {
    const { ask, receiver, clock } = await start('');
    receiver.reply = null;
    const asked = ask();
    await until(() => receiver.pushes.length === 1);
    await clock.advance(5_000);
    const record = await asked;
    const user = { sees: 'error', text: NOTICE, reason: 'no answer within 5 s' };
    expect(record).toMatchObject({ accepted: false, status: null, durationMs: 5_000, user });
  });

  it('a reply that is encrypted as the push was, under the previous key and Token', async () => {
    const previous = {
      ...SECRETS,
      token: COMPONENT.previousToken,
      encodingAesKey: COMPONENT.previousEncodingAesKey,
    };
    const { ask } = await start(seal(HELLO, 'xml', previous));
    const fault = { previousKey: true, previousToken: true };
    expect((await ask({}, fault)).user).toEqual({ sees: 'text', text: 'hello' });
    expect((await ask()).user?.reason).toMatch(/MsgSignature/);
  });
});

it('nobody sees anything of an event of the platform, to which only `success` is an answer', async () => {
  const { simulator } = await start('');
  const record = await simulator.pushTicket();
  expect(record.accepted).toBe(false);
  expect(record).not.toHaveProperty('user');
});

it('a message that was answered with a reply is not sent again', async () => {
  const options = { repushSeconds: 5 };
  const { ask, receiver, clock, simulator } = await start(seal(HELLO), 200, options);
  await ask();
  await clock.advance(60_000, () => simulator.idle());
  expect(receiver.pushes).toHaveLength(1);
  receiver.reply = { status: 200, body: HELLO };
  await ask();
  await clock.advance(60_000, () => simulator.idle());
  expect(receiver.pushes.length).toBeGreaterThan(2);
});

describe('POST /_simulator/say', () => {
  const pushOf = (receiver: Receiver, index: number) =>
    receiver.pushes[index] ?? expect.fail('nothing was pushed');

  it('needs a text and no more', async () => {
    const { simulator, receiver } = await start('success');
    const { status, json } = await control(simulator, 'POST say', { text: 'hi' });
    expect(status).toBe(200);
    expect(json).toEqual({ sees: 'nothing', afterMs: 0 });
    const message = open(pushOf(receiver, 0));
    expect(message).toContain('<Content><![CDATA[hi]]></Content>');
    expect(message).toContain('<FromUserName><![CDATA[oUserOfTheSimulator]]></FromUserName>');
    for (const body of [
      {},
      { text: '' },
      { text: 'a', fields: {} },
      { text: 'a', authorizer: '/' },
    ]) {
      expect((await control(simulator, 'POST say', body)).status).toBe(400);
    }
  });

  it('takes the account, the user and the form', async () => {
    const { simulator, receiver } = await start('success');
    const body = { text: 'hi', authorizer: AUTHORIZER, openid: 'o7', format: 'json' };
    await control(simulator, 'POST say', body);
    const push = pushOf(receiver, 0);
    expect(push.path).toMatch(new RegExp(`/${AUTHORIZER}$`));
    expect(openJson(push).inside).toMatchObject({ Content: 'hi', FromUserName: 'o7' });
  });

  it('says why the user sees an error, and when a rule swallows the message', async () => {
    const { simulator } = await start('hello');
    expect((await control(simulator, 'POST say', { text: 'hi' })).json).toMatchObject({
      sees: 'error',
      text: NOTICE,
      reason: expect.stringContaining('no document') as string,
    });
    simulator.addFault({ push: { skip: true } });
    expect((await control(simulator, 'POST say', { text: 'hi' })).json).toEqual({
      sees: 'nothing',
      reason: 'skipped by a fault',
    });
  });
});
