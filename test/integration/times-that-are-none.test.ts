import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { authorizationOf, AUTHORIZED } from '../kit/authorizers.ts';
import { logged, read } from '../kit/observe.ts';
import { AUTHORIZER, COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import {
  asMessage,
  eventCount,
  forgetSeen,
  MESSAGES,
  newestEvents,
  post,
} from '../kit/public-listener.ts';
import { encryptPush } from '../kit/push-envelope.ts';

/** The signature of a push is fresh, and its CreateTime is none, or none that can be. */

const ODD = 'a push has an odd CreateTime';
const YEAR = 365 * 86_400;

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform({ ticket: true });
});
afterAll(() => platform.close());
beforeEach(async () => {
  await platform.pass(60_000);
  await forgetSeen(platform);
  platform.logs.length = 0;
});

const now = () => Math.floor(platform.clock.now() / 1000);
const element = (value: string) => `<CreateTime>${value}</CreateTime>`;

interface Time {
  name: string;
  xml: () => string;
  /** None when it is believed without a word. */
  oddity?: string;
}
const TIMES: Time[] = [
  { name: 'zero', xml: () => element('0'), oddity: 'before_wechat' },
  { name: 'one', xml: () => element('1'), oddity: 'before_wechat' },
  { name: 'the year 2000', xml: () => element('946684800'), oddity: 'before_wechat' },
  { name: 'empty', xml: () => element(''), oddity: 'missing' },
  { name: 'empty text', xml: () => element('<![CDATA[]]>'), oddity: 'missing' },
  { name: 'blank', xml: () => element('<![CDATA[  ]]>'), oddity: 'missing' },
  { name: 'self-closing', xml: () => '<CreateTime/>', oddity: 'missing' },
  { name: 'not there', xml: () => '', oddity: 'missing' },
  { name: 'twice', xml: () => element('1795219200').repeat(2), oddity: 'unreadable' },
  { name: 'nested', xml: () => element('<a>1</a>'), oddity: 'unreadable' },
  { name: 'a date', xml: () => element('2026-11-21 08:00:00'), oddity: 'unreadable' },
  { name: 'negative', xml: () => element('-1795219200'), oddity: 'unreadable' },
  { name: 'with a fraction', xml: () => element(`${now()}.5`), oddity: 'unreadable' },
  { name: 'a power', xml: () => element('1.7e9'), oddity: 'unreadable' },
  { name: 'a word', xml: () => element('secret-word'), oddity: 'unreadable' },
  { name: 'longer than any time', xml: () => element('1'.repeat(40)), oddity: 'unreadable' },
  { name: 'microseconds', xml: () => element(`${now()}000000`), oddity: 'unreadable' },
  { name: 'milliseconds', xml: () => element(`${now()}000`), oddity: 'milliseconds' },
  { name: 'six minutes ahead', xml: () => element(String(now() + 360)), oddity: 'ahead' },
  { name: 'a year ahead', xml: () => element(String(now() + YEAR)), oddity: 'ahead' },
  { name: 'a year ahead, in ms', xml: () => element(`${now() + YEAR}000`), oddity: 'ahead' },
  { name: 'with blanks around', xml: () => element(` ${now()}\n`) },
  { name: 'with blanks around, in CDATA', xml: () => element(`<![CDATA[ ${now()} ]]>`) },
];

async function push(infoType: string, fields: string): Promise<void> {
  const xml = `<xml><AppId>${COMPONENT.appid}</AppId><InfoType>${infoType}</InfoType>${fields}</xml>`;
  expect(await post(platform, encryptPush(xml, { timestamp: now() }))).toBe('200 success');
}

/** Once for each push, and with nothing in it that is not a moment. */
function expectNoted({ oddity }: Time): void {
  const lines = logged(platform, ODD);
  expect(lines).toHaveLength(oddity === undefined ? 0 : 1);
  if (oddity !== undefined) expect(lines).toMatchObject([{ level: 'warn', oddity }]);
  expect(JSON.stringify(platform.logs)).not.toContain('secret-word');
}

describe.each(TIMES)('row 104: CreateTime $name counts as now', (time) => {
  it('in authorized: the code is exchanged', async () => {
    const { eventCode } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
    const account = `<AuthorizerAppid>${AUTHORIZER}</AuthorizerAppid>`;
    const code = `<AuthorizationCode>${eventCode}</AuthorizationCode>`;
    await push('authorized', time.xml() + account + code);
    expectNoted(time);
    await platform.pass(15_000);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
    const { refreshToken } = await authorizationOf(platform);
    expect(refreshToken).toBe(platform.simulator.refreshTokenOf(COMPONENT.appid, AUTHORIZER));
    const record = await platform.redis.hgetall(platform.keys.record(AUTHORIZED));
    expect(Number(record.authorized_at)).toBeGreaterThan(platform.clock.now() - 60_000);
  });

  it('in unauthorized: it is heeded', async () => {
    // By the authorization of the test before.
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
    platform.simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    await push('unauthorized', `${time.xml()}<AuthorizerAppid>${AUTHORIZER}</AuthorizerAppid>`);
    expectNoted(time);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 410 });
    const revoked = await platform.redis.hget(platform.keys.record(AUTHORIZED), 'revoked_at');
    expect(Number(revoked)).toBe(now() * 1000);
  });

  it('in a ticket: it is taken, and lives for its twelve hours', async () => {
    const ticket = platform.simulator.issueTicket();
    const field = `<ComponentVerifyTicket>${ticket}</ComponentVerifyTicket>`;
    await push('component_verify_ticket', time.xml() + field);
    expectNoted(time);
    const mirror = platform.keys.ticketMirror(COMPONENT.appid);
    expect(await platform.redis.get(mirror)).toBe(ticket);
    const record = await platform.redis.hgetall(platform.keys.ticketRecord(COMPONENT.appid));
    expect(record).toMatchObject({ ticket, create_time: String(now() * 1000) });
  });

  it('in a message and in an event that nobody handles: it is stored as it came', async () => {
    const events = await eventCount(platform);
    await push('never_heard_of', time.xml());
    expectNoted(time);
    platform.logs.length = 0;
    const xml = `<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName>${time.xml()}`;
    const message = `${xml}<MsgType>text</MsgType><MsgId>7</MsgId></xml>`;
    const sealed = asMessage(encryptPush(message, { timestamp: now() }));
    expect(await post(platform, sealed, MESSAGES)).toBe('200 success');
    expectNoted(time);
    expect(await eventCount(platform)).toBe(events + 2);
    expect((await newestEvents(platform))[0]).toMatchObject({ authorizer_appid: AUTHORIZER });
  });
});

describe('row 104: a CreateTime of yesterday under a fresh signature', () => {
  it.each([
    ['a day', 86_400],
    ['a month', 30 * 86_400],
  ])('%s old is stored, noted, and ordered by what it says', async (_what, age) => {
    const { eventCode } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
    const account = `<AuthorizerAppid>${AUTHORIZER}</AuthorizerAppid>`;
    const code = `<AuthorizationCode>${eventCode}</AuthorizationCode>`;
    await push('authorized', element(String(now())) + account + code);
    await platform.pass(15_000);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
    const events = await eventCount(platform);
    await push('unauthorized', element(String(now() - age)) + account);
    expect(logged(platform, ODD)).toMatchObject([{ oddity: 'late' }]);
    expect(await eventCount(platform)).toBe(events + 1);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
  });
});
