import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMetrics } from '../kit/metrics.ts';
import { AUTHORIZER, COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { newestEvents, type PostedPush, pushCounts } from '../kit/public-listener.ts';
import { encryptPush, type EnvelopeOptions, outerXml, ticketXml } from '../kit/push-envelope.ts';

/**
 * A push at its plain address is served before Express, one at an unusual address by it. Nobody may be
 * able to tell which it was: the same answer, the same entries, the same numbers.
 */

/** The same address in a form that is for Express. */
const DOORS = { front: '/callback/', express: '//callback/' } as const;
type Door = keyof typeof DOORS;

interface Answer {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  body: string;
}

let platforms: Record<Door, TestPlatform>;
beforeAll(async () => {
  const previous = { COMPONENT_PREVIOUS_TOKEN: 'formerToken' };
  const [front, express] = await Promise.all([
    createTestPlatform({ env: previous }),
    createTestPlatform({ env: previous }),
  ]);
  platforms = { front, express };
});
afterAll(() => Promise.all(Object.values(platforms).map((one) => one.close())));

function send(door: Door, path: string, push: PostedPush, headers = {}): Promise<Answer> {
  const { host, hostname, port } = new URL(platforms[door].publicUrl('/'));
  const search = new URLSearchParams(push.query).toString();
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      hostname,
      port,
      method: 'POST',
      path: `${DOORS[door]}${path}?${search}`,
      headers: { host, 'content-type': 'text/xml', ...headers },
    });
    request.on('error', reject).on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode, headers: response.headers, body });
      });
    });
    request.end(push.body);
  });
}

const now = () => Math.floor(platforms.front.clock.now() / 1000);
const sealed = (text: string, options: EnvelopeOptions = {}) =>
  encryptPush(text, { timestamp: now(), ...options });
const ticket = (value: string) => ticketXml({ ticket: value, createTime: now() });
const message = (id: number, more = '') =>
  `<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName>` +
  `<CreateTime>${now()}</CreateTime><MsgType><![CDATA[text]]></MsgType>` +
  `<MsgId>${id}</MsgId>${more}</xml>`;
const { appid } = COMPONENT;
const MESSAGES = `${appid}/${AUTHORIZER}`;
const good = sealed.bind(undefined);

type Case = [name: string, path: string, push: () => PostedPush, headers?: Record<string, string>];
const CASES: Case[] = [
  ['a ticket', appid, () => good(ticket('ticket@@@1'))],
  ['the same once more', appid, () => good(ticket('ticket@@@1'))],
  [
    'a ticket in JSON',
    appid,
    () => {
      const push = good(ticket('ticket@@@2'));
      return { ...push, body: JSON.stringify({ AppId: appid, Encrypt: push.encrypt }) };
    },
  ],
  [
    'one under the previous token',
    appid,
    () => good(ticket('ticket@@@3'), { token: 'formerToken' }),
  ],
  [
    'an event that nobody knows',
    appid,
    () => good(ticketXml({ createTime: now(), infoType: 'x' })),
  ],
  ['a message', MESSAGES, () => good(message(1))],
  [
    'the same message, encrypted anew',
    MESSAGES,
    () => good(message(1), { random: 'fedcba9876543210' }),
  ],
  ['a message with markup in it', MESSAGES, () => good(message(2, '<Content>a &lt; b</Content>'))],
  ['a message at the URL for events', appid, () => good(message(3))],
  ['a forged signature', appid, () => good(ticket('ticket@@@4'), { token: 'guessed' })],
  ['another key', appid, () => good(ticket('ticket@@@5'), { key: 'z'.repeat(43) })],
  [
    'another platform inside',
    appid,
    () => good(ticket('ticket@@@6'), { appid: 'wxffffffffffffffff' }),
  ],
  [
    'padding that lies',
    appid,
    () => good(ticket('ticket@@@7'), { padding: (pad) => pad.fill(1, 0, 1) }),
  ],
  ['an old one', appid, () => good(ticketXml({ createTime: 1 }), { timestamp: now() - 9_000 })],
  [
    'a timestamp of nine digits',
    appid,
    () => {
      const push = good(ticket('ticket@@@8'));
      return { ...push, query: { ...push.query, timestamp: '123456789' } };
    },
  ],
  ['no Encrypt', appid, () => ({ ...good(ticket('ticket@@@9')), body: '<xml></xml>' })],
  ['no body', appid, () => ({ ...good(ticket('ticket@@@9')), body: '' })],
  ['clear mode', appid, () => ({ ...good(''), body: message(4) })],
  ['too much', appid, () => ({ ...good(''), body: 'x'.repeat(70_000) })],
  [
    'a compressed body',
    appid,
    () => ({ ...good(''), body: '\x1F\x8B' }),
    { 'content-encoding': 'gzip' },
  ],
  ['a platform that is not here', 'wxeeeeeeeeeeeeeeee', () => good(ticket('ticket@@@9'))],
  [
    'two documents',
    appid,
    () => {
      const push = good(ticket('ticket@@@10'));
      return { ...push, body: outerXml('A'.repeat(64)) + push.body };
    },
  ],
];

describe('both doors', () => {
  it.each(CASES)('give one answer to %s', async (_name, path, push, headers) => {
    const sent = push();
    const answers: Answer[] = [];
    for (const door of ['front', 'express'] as const) {
      answers.push(await send(door, path, sent, headers));
      await platforms[door].settle();
    }
    const [front, express] = answers;
    expect(front?.status).toBeGreaterThan(0);
    expect({ ...front, headers: { ...front?.headers, date: '' } }).toEqual({
      ...express,
      headers: { ...express?.headers, date: '' },
    });
  });

  it('have stored and counted the same in the end', async () => {
    const told = async (platform: TestPlatform) => ({
      counts: await pushCounts(platform),
      events: (await newestEvents(platform, 100)).map((entry) => ({ ...entry, id: '' })),
      metrics: Object.fromEntries(
        Object.entries(await readMetrics(platform)).filter(([name]) =>
          /^wxkeeper_(?:pushes|http_requests)_total.*(?:type=|listener="public")/.test(name),
        ),
      ),
      levels: platform.logs.map(({ level, message: text, why }) => ({ level, text, why })),
    });
    const [front, express] = await Promise.all(Object.values(platforms).map(told));
    expect(front?.events.length).toBeGreaterThan(5);
    expect(Object.keys(front?.metrics ?? {}).length).toBeGreaterThan(8);
    expect(front).toEqual(express);
  });
});
