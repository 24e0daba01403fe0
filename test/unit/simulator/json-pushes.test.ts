import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { documentOf } from '../../../src/sandbox/wechat/push-document.ts';
import { CHECKED_ACCOUNTS, runReleaseCheck } from '../../../src/sandbox/wechat/release-checker.ts';
import { encryptMessage, sign } from '../../../src/wechat/push/envelope.ts';
import {
  COMPONENT,
  control,
  element,
  listenAnywhere,
  open,
  openJson,
  START,
  startSimulator,
  startWithReceiver,
  type Receiver,
} from './harness.ts';

/** Pushes as a console sends them that was told to: JSON with JSON inside. */

const AUTHORIZER = 'wx00000000000000aa';
const TEXT = { MsgType: 'text', Content: 'hello', MsgId: '24123456789012345678' };
const read = (receiver: Receiver, index = 0) => {
  const push = receiver.pushes[index];
  if (push === undefined) throw new Error('nothing was pushed');
  return { type: push.headers['content-type'], path: push.path, ...openJson(push) };
};

describe('documents in JSON', () => {
  it('have numbers where WeChat has some, exactly as they were given', () => {
    const fields = { CreateTime: 1700000000, MsgId: '24123456789012345678', Precision: '119.3850' };
    expect(documentOf('json', { ...fields, Content: '7', list: { ret: 0, appid: 'wx' } })).toBe(
      '{"CreateTime":1700000000,"MsgId":24123456789012345678,"Precision":119.3850,' +
        '"Content":"7","list":{"ret":0,"appid":"wx"}}',
    );
  });

  it('never become broken by what is given as a number', () => {
    for (const MsgId of ['', '007', '1x', 'NaN', '"', '1}', '+1', '.5']) {
      expect(JSON.parse(documentOf('json', { MsgId }))).toEqual({ MsgId });
    }
  });

  it('hold any text', () => {
    const Content = '"quoted" \\ 晨光 ]]> \n \u0010 😀';
    expect(JSON.parse(documentOf('json', { Content }))).toEqual({ Content });
  });
});

describe('a simulator that pushes JSON', () => {
  it('does so with tickets, events and authorizations', async () => {
    const { simulator, receiver } = await startWithReceiver({ format: 'json' });
    await simulator.pushTicket();
    const { eventCode } = simulator.grant(COMPONENT.appid, AUTHORIZER);
    await simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, eventCode);
    await simulator.push(undefined, 'notify_3rd_wxa_auth');
    const [ticket, authorized, notice] = [0, 1, 2].map((index) => read(receiver, index));
    expect(ticket).toMatchObject({ type: 'application/json', outside: { AppId: COMPONENT.appid } });
    expect(Object.keys(ticket?.outside ?? {})).toEqual(['AppId', 'Encrypt']);
    expect(ticket?.inside).toMatchObject({
      AppId: COMPONENT.appid,
      CreateTime: START / 1000,
      InfoType: 'component_verify_ticket',
      ComponentVerifyTicket: expect.stringContaining('ticket@@@') as string,
    });
    expect(authorized?.inside).toMatchObject({
      AuthorizerAppid: AUTHORIZER,
      AuthorizationCode: eventCode,
      AuthorizationCodeExpiredTime: START / 1000 + 600,
    });
    expect(notice?.inside).toMatchObject({ task_status: 6, dispatch_info: {} });
    expect(
      simulator.ledger.pushes.map(({ infoType, createTime }) => [infoType, createTime]),
    ).toEqual(
      ['component_verify_ticket', 'authorized', 'notify_3rd_wxa_auth'].map((type) => [
        ...[type, START / 1000],
      ]),
    );
  });

  it('does so with messages, under the appid of the account, MsgId to the last digit', async () => {
    const { simulator, receiver } = await startWithReceiver({ format: 'json' });
    const { accepted } = await simulator.pushMessage(undefined, AUTHORIZER, TEXT);
    expect(accepted).toBe(true);
    const { path, outside, inside, document } = read(receiver);
    expect(path).toBe(`/callback/${COMPONENT.appid}/${AUTHORIZER}`);
    expect(Object.keys(outside)).toEqual(['ToUserName', 'Encrypt']);
    expect(outside.ToUserName).toMatch(/^gh_/);
    expect(document).toContain('"MsgId":24123456789012345678');
    expect(inside).toMatchObject({ ToUserName: outside.ToUserName, Content: 'hello' });
    expect(receiver.pushes[0]?.query.get('openid')).toBe(inside['FromUserName']);
  });

  it('declares what it is told to declare', async () => {
    const options = { format: 'json', contentType: 'text/xml' } as const;
    const { simulator, receiver } = await startWithReceiver(options);
    await simulator.pushTicket();
    expect(read(receiver).type).toBe('text/xml');
  });
});

describe('one push of another form', () => {
  it('is JSON from a simulator of XML, or the other way round, or both at once', async () => {
    const { simulator, receiver } = await startWithReceiver();
    await simulator.pushTicket(undefined, { format: 'json', bom: true });
    expect(receiver.pushes[0]?.body).toMatch(/^\uFEFF\{/);
    await simulator.push(undefined, 'unauthorized', {}, { inside: 'json' });
    const [, mixed] = receiver.pushes;
    if (mixed === undefined) throw new Error('nothing was pushed');
    expect(mixed.headers['content-type']).toBe('text/xml');
    expect(JSON.parse(open(mixed))).toMatchObject({ InfoType: 'unauthorized' });
    await simulator.push(undefined, '{"InfoType":"x","CreateTime":5}', {}, { contentType: 'a/b' });
    expect(read(receiver, 2)).toMatchObject({ type: 'a/b', inside: { InfoType: 'x' } });
    expect(simulator.ledger.pushes[2]).toMatchObject({ infoType: 'x', createTime: 5 });
  });

  it('can be asked for by the control API and by the queue of rules', async () => {
    const { simulator, receiver } = await startWithReceiver();
    await control(simulator, 'POST push', { format: 'json', contentType: 'text/xml' });
    await control(simulator, 'POST faults', { push: { format: 'json' } });
    await control(simulator, 'POST push', {});
    await control(simulator, 'POST push', { json: '{"InfoType":"any"}' });
    const message = { authorizer: AUTHORIZER, fields: TEXT, format: 'json' };
    const { json } = await control(simulator, 'POST push-message', message);
    expect(json).toMatchObject({ accepted: true, infoType: 'text', appid: AUTHORIZER });
    const all = receiver.pushes.map((_, index) => read(receiver, index));
    expect(all.map(({ type }) => type)).toEqual([
      ...['text/xml', 'application/json', 'application/json', 'application/json'],
    ]);
    expect(all[2]?.document).toBe('{"InfoType":"any"}');
    for (const body of [
      { json: 'no markup' },
      { json: '{}', xml: '<xml/>' },
      { json: '{}', info_type: 'a' },
      { format: 'yaml' },
    ]) {
      expect((await control(simulator, 'POST push', body)).status).toBe(400);
    }
    const nobody = { authorizer: 'a/b', fields: TEXT };
    expect((await control(simulator, 'POST push-message', nobody)).status).toBe(400);
  });
});

describe('a message in XML', () => {
  it('goes to the URL for messages, with what WeChat adds', async () => {
    const { receiver } = await startWithReceiver();
    const components = [
      { ...COMPONENT, callbackUrl: receiver.url, messageUrl: `${receiver.url}/at/$APPID$?a=b` },
    ];
    const { simulator } = await startSimulator({ components });
    const fields = { MsgType: 'event', Event: 'subscribe', FromUserName: 'o1' };
    const { infoType } = await simulator.pushMessage(undefined, AUTHORIZER, fields);
    expect(infoType).toBe('event subscribe');
    const [push] = receiver.pushes;
    if (push === undefined) throw new Error('nothing was pushed');
    expect(push.path).toBe(`/callback/${COMPONENT.appid}/at/${AUTHORIZER}`);
    expect(push.query.get('a')).toBe('b');
    expect(push.query.get('openid')).toBe('o1');
    const xml = open(push);
    expect(element(xml, 'CreateTime')).toBe(String(START / 1000));
    expect(element(xml, 'MsgId')).toBeUndefined();
  });

  it('is spoiled by rules as other pushes are', async () => {
    const { simulator, receiver } = await startWithReceiver();
    simulator.addFault({ push: { skip: true } });
    expect(await simulator.pushMessage(undefined, AUTHORIZER, TEXT)).toMatchObject({
      accepted: false,
      infoType: 'text',
      error: 'skipped by a fault',
    });
    expect(receiver.pushes).toEqual([]);
  });
});

describe('the release checker in JSON', () => {
  type Inside = Record<string, unknown>;
  interface Manners {
    reply: (fields: Inside) => Inside;
    outside: (fields: Inside) => Inside;
    body: (good: string) => string;
  }
  const swap = ({ ToUserName, FromUserName, Content, Event }: Inside): Inside => ({
    ToUserName: FromUserName,
    FromUserName: ToUserName,
    CreateTime: START / 1000,
    MsgType: 'text',
    Content: typeof Content === 'string' ? `${Content}_callback` : `${String(Event)}from_callback`,
  });

  async function faultsOf({ reply = swap, outside, body = (good) => good }: Partial<Manners>) {
    const { simulator } = await startSimulator({ format: 'json', overlapSeconds: 300 });
    const server = createServer((request, response) => {
      void (async () => {
        let text = '';
        for await (const chunk of request) text += String(chunk);
        const query = new URL(request.url ?? '', 'http://service').searchParams;
        const { inside } = openJson({ query, body: text });
        if (inside['InfoType'] !== undefined) return response.end('success');
        if (String(inside['Content']).startsWith('QUERY_AUTH_CODE')) {
          // So that nobody waits for a message by the API, which nobody here writes.
          return response.end('success');
        }
        const document = JSON.stringify(reply(inside));
        const Encrypt = encryptMessage(COMPONENT.encodingAesKey, COMPONENT.appid, document);
        const MsgSignature = sign(COMPONENT.token, '1772352000', 'n', Encrypt);
        const good = { Encrypt, MsgSignature, TimeStamp: 1772352000, Nonce: 'n' };
        return response.end(body(JSON.stringify(outside?.(good) ?? good)));
      })();
    });
    const base = await listenAnywhere(server);
    simulator.setCallbackUrl(COMPONENT.appid, `${base}/callback`);
    const results = await runReleaseCheck(simulator, {
      component: COMPONENT,
      messageUrl: `${base}/callback/$APPID$`,
      limitMs: 60_000,
      accounts: CHECKED_ACCOUNTS.slice(0, 1),
      now: () => START,
    });
    const failed = results.filter(({ ok, step }) => !ok && !['code', 'api message'].includes(step));
    return Object.fromEntries(failed.map(({ step, detail }) => [step, detail]));
  }

  it('finds nothing wrong with good replies', async () => {
    expect(await faultsOf({})).toEqual({});
  });

  it.each<[string, Partial<Manners>, RegExp]>([
    [
      'XML',
      { body: () => '<xml><Encrypt>x</Encrypt></xml>' },
      /in the other form; it must be JSON, as the message was/,
    ],
    ['no document', { body: () => '["x"]' }, /no document; it must be JSON/],
    [
      'a time in quotes',
      { outside: (good) => ({ ...good, TimeStamp: '1772352000' }) },
      /lacks Encrypt, MsgSignature, TimeStamp \(a number\) or Nonce/,
    ],
    ['a wrong signature', { outside: (good) => ({ ...good, Nonce: 'm' }) }, /MsgSignature/],
    ['clear text', { body: () => JSON.stringify({ Content: 'x' }) }, /it is not encrypted/],
    [
      'a CreateTime in quotes',
      { reply: (fields) => ({ ...swap(fields), CreateTime: String(START / 1000) }) },
      /CreateTime of the reply is ""/,
    ],
    ['another content', { reply: (fields) => ({ ...swap(fields), Content: 'x' }) }, /Content of/],
    [
      'the user as sender',
      { reply: (fields) => ({ ...swap(fields), ToUserName: fields['ToUserName'] }) },
      /not swapped/,
    ],
  ])('finds a reply with %s', async (_what, manners, words) => {
    const { text, event, ...others } = await faultsOf(manners);
    expect(text).toMatch(words);
    expect(event).toMatch(words);
    expect(others).toEqual({});
  });
});
