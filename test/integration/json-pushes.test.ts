import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  CHECKED_ACCOUNTS,
  runReleaseCheck,
  type ReleaseCheckOptions,
} from '../../src/sandbox/wechat/release-checker.ts';
import type { SimulatorOptions } from '../../src/sandbox/wechat/options.ts';
import { authorizationOf } from '../kit/authorizers.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { eventCount, newestEvents, pushCounts } from '../kit/public-listener.ts';

/** Accounts whose console was told to push JSON, by a WeChat that does so: both URLs, end to end. */

const C = COMPONENT.appid;
const MSG_ID = '24123456789012345678';
const TEXT = { MsgType: 'text', Content: '晨光 "hello" \\ 7', MsgId: MSG_ID };

let platform: TestPlatform;
beforeAll(async () => {
  const simulator = {
    format: 'json',
    overlapSeconds: 300,
  } as const satisfies Partial<SimulatorOptions>;
  platform = await createTestPlatform({ ticket: true, simulator });
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
});
afterAll(() => platform.close());
// So that no test meets a message or a token of the one before.
beforeEach(async () => {
  platform.simulator.clearFaults();
  await platform.pass(MINUTE);
});

const now = () => Math.floor(platform.clock.now() / 1000);
const fieldsOf = (entry: Record<string, string> | undefined) =>
  JSON.parse(entry?.['fields'] ?? '{}') as Record<string, unknown>;

describe('row 105: pushes in JSON', () => {
  it('bring the ticket that everything else is bought with', async () => {
    const record = await platform.simulator.pushTicket();
    await platform.settle();
    expect(record).toMatchObject({ accepted: true, infoType: 'component_verify_ticket' });
    expect(record.body).toMatch(/^\{"AppId":"wx/);
    const newest = platform.simulator.latestMint('component_verify_ticket');
    expect(await platform.redis.get(platform.keys.ticketMirror(C))).toBe(newest?.value);
    const token = { kind: 'component_access_token', subject: C } as const;
    expect(await platform.redis.exists(platform.keys.mirror(token))).toBe(1);
    const [entry] = await newestEvents(platform);
    expect(entry).toMatchObject({
      info_type: 'component_verify_ticket',
      create_time: String(now()),
    });
    expect(entry?.['fields']).not.toContain('ticket@@@');
  });

  it('bring a code, which is exchanged, and the end of the authorization', async () => {
    const { simulator } = platform;
    const { eventCode } = simulator.grant(C, AUTHORIZER);
    const { accepted } = await simulator.pushAuthorized(C, AUTHORIZER, eventCode);
    await platform.settle();
    expect(accepted).toBe(true);
    const refreshToken = simulator.refreshTokenOf(C, AUTHORIZER);
    expect(refreshToken).toBeDefined();
    expect(await authorizationOf(platform)).toMatchObject({ refreshToken, revoked: false });
    const [entry] = await newestEvents(platform);
    expect(entry).toMatchObject({ info_type: 'authorized', authorizer_appid: AUTHORIZER });
    expect(entry?.['fields']).not.toContain('queryauthcode');

    await platform.pass(MINUTE);
    expect((await simulator.pushUnauthorized(C, AUTHORIZER)).accepted).toBe(true);
    await platform.settle();
    expect(await authorizationOf(platform)).toMatchObject({ revoked: true });
  });

  it('are stored as the exact texts that were written, to the last digit of a number', async () => {
    const { accepted } = await platform.simulator.pushMessage(C, AUTHORIZER, {
      ...TEXT,
      FromUserName: 'o1',
      Precision: '119.3850',
      Nested: { list: 'x', ret: 0 },
    });
    expect(accepted).toBe(true);
    const [entry] = await newestEvents(platform);
    expect(entry).toMatchObject({
      component_appid: C,
      authorizer_appid: AUTHORIZER,
      info_type: '',
      msg_type: 'text',
      event: '',
      create_time: String(now()),
    });
    expect(fieldsOf(entry)).toMatchObject({
      FromUserName: 'o1',
      CreateTime: String(now()),
      MsgType: 'text',
      MsgId: MSG_ID,
      Content: TEXT.Content,
      Precision: '119.3850',
      Nested: { list: 'x', ret: '0' },
    });
  });

  it('are told apart by neighbouring ids of more digits than a double has', async () => {
    const events = await eventCount(platform);
    for (const MsgId of ['24123456789012345671', '24123456789012345672']) {
      await platform.simulator.pushMessage(C, AUTHORIZER, { ...TEXT, FromUserName: 'o1', MsgId });
    }
    expect(await eventCount(platform)).toBe(events + 2);
  });

  it('are one entry however often they come, byte for byte or encrypted anew', async () => {
    const [events, counts] = [await eventCount(platform), await pushCounts(platform)];
    const fields = { ...TEXT, FromUserName: 'o1', MsgId: '24123456789012345670' };
    for (const fault of [{ twice: true }, {}, { contentType: 'text/xml' }]) {
      const { accepted } = await platform.simulator.pushMessage(C, AUTHORIZER, fields, fault);
      expect(accepted).toBe(true);
    }
    expect(await eventCount(platform)).toBe(events + 1);
    const { accepted, duplicate } = await pushCounts(platform);
    expect([accepted - counts.accepted, duplicate - counts.duplicate]).toEqual([1, 3]);
  });

  it.each([
    ['declared as text/xml', { contentType: 'text/xml' }],
    ['declared as text/plain', { contentType: 'text/plain; charset=UTF-8' }],
    ['declared with a charset', { contentType: 'application/json; charset=utf-8' }],
    ['declared as a form', { contentType: 'application/x-www-form-urlencoded' }],
    ['with a byte order mark', { bom: true }],
    ['with XML inside', { inside: 'xml' }],
    ['inside an envelope in XML', { format: 'xml', inside: 'json' }],
    ['beside pushes in XML', { format: 'xml' }],
    ['declared as JSON though all is XML', { format: 'xml', contentType: 'application/json' }],
  ] as const)('are taken at both URLs %s', async (_what, form) => {
    const { simulator } = platform;
    const events = await eventCount(platform);
    // Twenty digits, and other ones each time.
    const id = `2412345678${now()}`;
    const message = await simulator.pushMessage(
      C,
      AUTHORIZER,
      { ...TEXT, FromUserName: 'o2', MsgId: id },
      form,
    );
    expect(message).toMatchObject({ status: 200, answer: 'success' });
    const ofMessage = fieldsOf((await newestEvents(platform))[0]);
    expect(ofMessage).toMatchObject({ Content: TEXT.Content, MsgId: id, FromUserName: 'o2' });
    const notice = await simulator.push(C, 'notify_3rd_wxa_auth', undefined, form);
    expect(notice).toMatchObject({ status: 200, answer: 'success' });
    const [entry] = await newestEvents(platform);
    expect(entry).toMatchObject({ info_type: 'notify_3rd_wxa_auth' });
    expect(fieldsOf(entry)).toMatchObject({ task_status: '6', message: '审核中' });
    expect(await eventCount(platform)).toBe(events + 2);
  });

  it('that nobody signed are refused', async () => {
    const events = await eventCount(platform);
    const { url, body } = platform.simulator.buildPush(C, 'notify_3rd_wxa_auth');
    const query = new URL(url ?? '').searchParams;
    for (const name of ['msg_signature', 'timestamp', 'nonce']) {
      const forged = new URLSearchParams(query);
      const value = query.get(name) ?? '';
      forged.set(name, value.replace(/.$/, value.endsWith('1') ? '2' : '1'));
      const address = `${platform.publicUrl(`/callback/${C}`)}?${forged.toString()}`;
      const headers = { 'content-type': 'application/json' };
      expect((await fetch(address, { method: 'POST', headers, body })).status).toBe(401);
    }
    expect(await eventCount(platform)).toBe(events);
  });

  it('of the check before a release are replied to in JSON, for all ten accounts', async () => {
    const options: ReleaseCheckOptions = {
      component: { ...COMPONENT, callbackUrl: platform.publicUrl(`/callback/${C}`) },
      accounts: CHECKED_ACCOUNTS,
      messageUrl: platform.publicUrl(`/callback/${C}/$APPID$`),
      now: () => platform.clock.now(),
    };
    const results = await runReleaseCheck(platform.simulator, options);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(results).toHaveLength(70);
  });
});
