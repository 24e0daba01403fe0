import { createServer, type IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import {
  CHECKED_ACCOUNTS,
  runReleaseCheck,
  type CheckStep,
} from '../../../src/sandbox/wechat/release-checker.ts';
import type { Simulator } from '../../../src/sandbox/wechat/simulator.ts';
import { encryptMessage, sign } from '../../../src/wechat/push/envelope.ts';
import {
  callApi,
  COMPONENT,
  element,
  listenAnywhere,
  mintToken,
  open,
  START,
  startSimulator,
} from './harness.ts';

/** What the service of these tests does; each field replaces what a good one does. */
interface Manners {
  /** The whole answer to an event of the platform. */
  event: string;
  /** The whole answer to a text or event of a user. */
  answer: (fields: Message) => Answer;
  content: (fields: Message) => string;
  /** Names in the reply's document, and their texts. */
  reply: Readonly<Record<string, string>>;
  encryptFor: string;
  key: string;
  token: string;
  /** The whole answer to the code. */
  code: string;
  /** What is sent by the API. */
  sends: (code: string, touser: string) => { touser: string; content: string } | undefined;
}

interface Message {
  type: string;
  content: string;
  event: string;
  account: string;
  user: string;
}

type Answer = { status?: number; headers?: Record<string, string>; body: string } | 'silence';

const [ACCOUNT] = CHECKED_ACCOUNTS;
const accounts = ACCOUNT === undefined ? [] : [ACCOUNT];

function goodContent({ content, event }: Message): string {
  return content === '' ? `${event}from_callback` : `${content}_callback`;
}

function replyXml(message: Message, manners: Partial<Manners>): string {
  const fields = {
    ToUserName: message.user,
    FromUserName: message.account,
    CreateTime: String(START / 1000),
    MsgType: 'text',
    Content: (manners.content ?? goodContent)(message),
    ...manners.reply,
  };
  const elements = Object.entries(fields).map(([name, text]) => `<${name}>${text}</${name}>`);
  return `<xml>${elements.join('')}</xml>`;
}

function sealedReply(message: Message, manners: Partial<Manners>): string {
  const { key = COMPONENT.encodingAesKey, encryptFor = COMPONENT.appid } = manners;
  const encrypted = encryptMessage(key, encryptFor, replyXml(message, manners));
  const signature = sign(manners.token ?? COMPONENT.token, '1772352000', 'n', encrypted);
  return `<xml><Encrypt>${encrypted}</Encrypt><MsgSignature>${signature}</MsgSignature><TimeStamp>1772352000</TimeStamp><Nonce>n</Nonce></xml>`;
}

async function sendByApi(
  simulator: Simulator,
  code: string,
  user: string,
  manners: Partial<Manners>,
) {
  const sends =
    manners.sends ?? ((one: string, touser: string) => ({ touser, content: `${one}_from_api` }));
  const wanted = sends(code, user);
  if (wanted === undefined) return;
  const token = await mintToken(simulator);
  const { json } = await callApi(simulator, `api_query_auth?component_access_token=${token}`, {
    component_appid: COMPONENT.appid,
    authorization_code: code,
  });
  const info = json.authorization_info as { authorizer_access_token: string };
  const url = `${simulator.url}/cgi-bin/message/custom/send?access_token=${info.authorizer_access_token}`;
  const { touser, content } = wanted;
  const body = JSON.stringify({ touser, msgtype: 'text', text: { content } });
  await fetch(url, { method: 'POST', body });
}

async function readMessage(request: IncomingMessage): Promise<Message | undefined> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  const query = new URL(request.url ?? '', 'http://service').searchParams;
  const xml = open({ query, body });
  if (element(xml, 'InfoType') !== undefined) return undefined;
  const text = (name: string): string => element(xml, name) ?? '';
  return {
    type: text('MsgType'),
    content: text('Content'),
    event: text('Event'),
    account: text('ToUserName'),
    user: text('FromUserName'),
  };
}

/** A service with these manners, checked for one account. */
async function check(manners: Partial<Manners> = {}, limitMs = 2000) {
  const { simulator } = await startSimulator({ overlapSeconds: 300 });
  const server = createServer((request, response) => {
    void (async () => {
      const message = await readMessage(request);
      if (message === undefined) return response.end(manners.event ?? 'success');
      const [, code] = /^QUERY_AUTH_CODE:(.+)$/.exec(message.content) ?? [];
      if (code !== undefined && manners.answer === undefined) {
        response.end(manners.code ?? '');
        if (manners.code !== undefined) return undefined;
        return sendByApi(simulator, code, message.user, manners);
      }
      const answer = manners.answer?.(message) ?? { body: sealedReply(message, manners) };
      if (answer === 'silence') return;
      const { status = 200, headers = {}, body } = answer;
      return response.writeHead(status, headers).end(body);
    })();
  });
  const base = await listenAnywhere(server);
  simulator.setCallbackUrl(COMPONENT.appid, `${base}/callback`);
  const messageUrl = `${base}/callback/$APPID$`;
  const options = { component: COMPONENT, messageUrl, accounts, limitMs, now: () => START };
  return runReleaseCheck(simulator, options);
}

/** The steps that failed, with the reason. */
async function faults(manners: Partial<Manners>, limitMs?: number) {
  const results = await check(manners, limitMs);
  return Object.fromEntries(
    results.filter(({ ok }) => !ok).map(({ step, detail }) => [step, detail]),
  ) as Partial<Record<CheckStep, string>>;
}

describe('the release checker', () => {
  it('finds nothing wrong with a good service, and names every step', async () => {
    const results = await check();
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(results.map(({ step }) => step)).toEqual([
      'ticket',
      'authorized',
      'text',
      'code',
      'api message',
      'event',
      'unauthorized',
    ]);
  });

  it.each<[string, Partial<Manners>, RegExp]>([
    ['plain XML', { answer: (message) => ({ body: replyXml(message, {}) }) }, /not encrypted/],
    ['`success`', { answer: () => ({ body: 'success' }) }, /"success" and no reply/],
    ['another key', { key: COMPONENT.previousEncodingAesKey }, /cannot be decrypted/],
    ['another token', { token: 'another' }, /MsgSignature of the reply is wrong/],
    ["the account's appid", { encryptFor: ACCOUNT?.appid ?? '' }, /must be the component's appid/],
    ["the account's id", { encryptFor: ACCOUNT?.userName ?? '' }, /must be the component's appid/],
    ['the user as sender', { reply: { ToUserName: ACCOUNT?.userName ?? '' } }, /not swapped/],
    ['another sender', { reply: { FromUserName: 'gh_x' } }, /FromUserName of the reply is "gh_x"/],
    ['another content', { content: () => 'hello' }, /Content of the reply is "hello", not "/],
    ['a blank too much', { content: (one) => `${goodContent(one)} ` }, /Content of the reply/],
    ['another type', { reply: { MsgType: 'news' } }, /MsgType of the reply is "news"/],
    ['no time', { reply: { CreateTime: '' } }, /CreateTime of the reply is ""/],
    ['milliseconds', { reply: { CreateTime: String(START) } }, /not Unix seconds/],
    [
      'a redirect',
      { answer: () => ({ status: 301, headers: { location: '/' }, body: '' }) },
      /redirect/,
    ],
    ['status 500', { answer: () => ({ status: 500, body: 'x' }) }, /status 500/],
  ])('finds a reply with %s', async (_what, manners, words) => {
    const { text, event, ticket, unauthorized } = await faults(manners);
    expect(text).toMatch(words);
    expect(event).toMatch(words);
    expect([ticket, unauthorized]).toEqual([undefined, undefined]);
  });

  it('finds a reply that takes too long', async () => {
    const found = await faults({ answer: () => 'silence' }, 60);
    expect(found.text).toBe('no answer within 60 ms');
    expect(found.code).toBe('no answer within 60 ms');
    expect(found['api message']).toContain('not awaited');
  });

  it('finds a code that is answered with more than nothing', async () => {
    expect(await faults({ code: 'success' })).toEqual({
      code: 'the answer is not empty but begins with "success"',
      'api message': 'not awaited: the code was not taken',
    });
  });

  it.each<[string, Partial<Manners>, RegExp]>([
    ['that is not sent', { sends: () => undefined }, /calls of the service meanwhile: none/],
    [
      'to somebody else',
      { sends: (code) => ({ touser: 'oOther', content: `${code}_from_api` }) },
      /no message came to the sender/,
    ],
    [
      'without the head of the code',
      { sends: (code, touser) => ({ touser, content: `${code.split('@@@')[1] ?? ''}_from_api` }) },
      /all behind the first colon/,
    ],
  ])('finds a message by the API %s', async (_what, manners, words) => {
    const found = await faults(manners, 300);
    expect(Object.keys(found)).toEqual(['api message']);
    expect(found['api message']).toMatch(words);
  });

  it('finds events that are not answered with success', async () => {
    const found = await faults({ event: 'SUCCESS' });
    expect(Object.keys(found)).toEqual(['ticket', 'authorized', 'unauthorized']);
    expect(found.ticket).toContain('"SUCCESS" and not success');
  });

  it('ends at the first ticket when nobody answers', async () => {
    const { simulator } = await startSimulator();
    const base = 'http://127.0.0.1:1';
    simulator.setCallbackUrl(COMPONENT.appid, `${base}/callback`);
    const options = {
      component: COMPONENT,
      messageUrl: `${base}/callback/$APPID$`,
      now: () => START,
    };
    const results = await runReleaseCheck(simulator, options);
    expect(results).toMatchObject([{ step: 'ticket', ok: false }]);
    expect(results[0]?.detail).toContain('ECONNREFUSED');
  });
});
