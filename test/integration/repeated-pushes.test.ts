import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sign } from '../../src/wechat/push/envelope.ts';
import { authorize, AUTHORIZED } from '../kit/authorizers.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import {
  asMessage,
  contents,
  eventCount,
  EVENTS,
  forgetSeen,
  MESSAGES,
  newestEvents,
  post,
  pushCounts,
} from '../kit/public-listener.ts';
import { type EncryptedPush, encryptPush, ticketXml } from '../kit/push-envelope.ts';

/** Longest distance between a signed timestamp and our clock, seconds. */
const WINDOW = 300;
const COPIES = 100;

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform();
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  await platform.simulator.pushTicket();
  await platform.settle();
});
afterAll(() => platform.close());
// So that no test meets a push of the one before.
beforeEach(() => platform.pass(MINUTE));

const now = () => Math.floor(platform.clock.now() / 1000);
const event = (infoType = 'unauthorized') => ticketXml({ infoType, createTime: now() });
const message = () =>
  `<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>${now()}</CreateTime>` +
  `<MsgType>text</MsgType><MsgId>${now()}</MsgId></xml>`;
const calls = () => platform.simulator.ledger.calls.length;
/** Without the counters, which are meant to move. */
async function kept(): Promise<Record<string, string>> {
  await pushCounts(platform);
  const counters = platform.keys.pushStats(COMPONENT.appid);
  const entries = Object.entries(await contents(platform)).filter(([name]) => name !== counters);
  return Object.fromEntries(entries);
}

describe('row 49: the same push again', () => {
  it.each([
    ['an event', 'unauthorized'],
    ['a ticket', 'component_verify_ticket'],
  ])('is counted as a duplicate when WeChat sends it twice: %s', async (_what, infoType) => {
    const before = await pushCounts(platform);
    const events = await eventCount(platform);
    const push = await platform.simulator.push(undefined, infoType, {}, { twice: true });
    expect(push).toMatchObject({ attempt: 2, status: 200, answer: 'success' });
    const after = await pushCounts(platform);
    expect(after.accepted - before.accepted).toBe(1);
    expect(after.duplicate - before.duplicate).toBe(1);
    expect(await eventCount(platform)).toBe(events + 1);
  });

  it.each([
    ['events', EVENTS],
    ['messages', MESSAGES],
  ])(`is one entry for ${COPIES} copies that arrive together, of %s`, async (_what, path) => {
    const sealed = encryptPush(path === EVENTS ? event() : message(), { timestamp: now() });
    const push = path === EVENTS ? sealed : asMessage(sealed);
    const events = await eventCount(platform);
    const answers = await Promise.all(
      Array.from({ length: COPIES }, () => post(platform, push, path)),
    );
    expect(new Set(answers)).toEqual(new Set(['200 success']));
    expect(await eventCount(platform)).toBe(events + 1);
  });

  it('changes nothing but a counter, of a ticket, and asks WeChat for nothing', async () => {
    const push = platform.simulator.buildPush(undefined, 'component_verify_ticket');
    expect(await post(platform, push)).toBe('200 success');
    const [before, asked] = [await kept(), calls()];
    for (let copy = 0; copy < COPIES; copy += 1) {
      expect(await post(platform, push)).toBe('200 success');
    }
    expect(await kept()).toEqual(before);
    expect(calls()).toBe(asked);
  });

  it('does not press WeChat while it refuses us', async () => {
    // So that a new ticket makes wxkeeper ask for a token.
    platform.clock.sleepThrough(3 * HOUR);
    platform.simulator.addFault({
      api: 'api_component_token',
      times: 'forever',
      fault: { type: 'errcode', errcode: 40125 },
    });
    const push = platform.simulator.buildPush(undefined, 'component_verify_ticket');
    const before = calls();
    expect(await post(platform, push)).toBe('200 success');
    const asked = calls();
    expect(asked).toBeGreaterThan(before);
    for (let copy = 0; copy < 10; copy += 1) await post(platform, push);
    expect(calls()).toBe(asked);
    platform.simulator.clearFaults();
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  });
});

describe('row 107: a platform event that WeChat repeats encrypted anew', () => {
  const ofType: Record<string, string> = {
    notify_third_fasteregister: '<appid>wx00000000000000c1</appid><status>100001</status>',
    notify_3rd_wxa_auth: '<appid>wx00000000000000c1</appid><taskid>t</taskid>',
    authorized:
      `<AuthorizerAppid>${AUTHORIZER}</AuthorizerAppid>` +
      '<AuthorizationCode>queryauthcode@@@one</AuthorizationCode>',
    unauthorized: `<AuthorizerAppid>${AUTHORIZER}</AuthorizerAppid>`,
    never_heard_of: '<a>1</a>',
  };
  const xmlOf = (infoType: string, more = '') =>
    `<xml><AppId>${COMPONENT.appid}</AppId><CreateTime>${now()}</CreateTime>` +
    `<InfoType>${infoType}</InfoType>${ofType[infoType]}${more}</xml>`;
  const anew = (xml: string, copy: number) =>
    encryptPush(xml, {
      timestamp: now() + copy,
      nonce: String(copy),
      random: String(copy).padStart(16, '0'),
    });

  it.each(Object.keys(ofType))('is one entry: %s three times', async (infoType) => {
    const [events, counts] = [await eventCount(platform), await pushCounts(platform)];
    const xml = xmlOf(infoType);
    for (const copy of [1, 2, 3]) {
      expect(await post(platform, anew(xml, copy))).toBe('200 success');
    }
    expect(await eventCount(platform)).toBe(events + 1);
    const { accepted, duplicate } = await pushCounts(platform);
    expect([accepted - counts.accepted, duplicate - counts.duplicate]).toEqual([1, 2]);
  });

  it('is one entry at two replicas', async () => {
    const replica = await platform.addReplica();
    const events = await eventCount(platform);
    const xml = xmlOf('authorized');
    const elsewhere = {
      ...platform,
      publicUrl: (path?: string) =>
        platform.publicUrl(path).replace(/:\d+/, `:${replica.publicPort()}`),
    };
    const answers = await Promise.all([
      post(platform, anew(xml, 1)),
      post(elsewhere, anew(xml, 2)),
    ]);
    expect(answers).toEqual(['200 success', '200 success']);
    expect(await eventCount(platform)).toBe(events + 1);
    await replica.stop();
  });

  it.each([
    ['a second later', () => xmlOf('never_heard_of').replace(String(now()), String(now() + 1))],
    ['about something else', () => xmlOf('never_heard_of', '<b>2</b>')],
    ['of another type', () => xmlOf('never_heard_of').replace('heard', 'read')],
  ])('is another one %s', async (_what, other) => {
    const events = await eventCount(platform);
    for (const [copy, xml] of [xmlOf('never_heard_of'), other()].entries()) {
      expect(await post(platform, anew(xml, copy))).toBe('200 success');
    }
    expect(await eventCount(platform)).toBe(events + 2);
  });
});

describe('row 148: a captured push with timestamp and nonce exchanged', () => {
  const DAY = 86_400;
  const swapped = ({
    query: { timestamp = '', nonce = '', ...query },
    ...push
  }: EncryptedPush) => ({
    ...push,
    query: { ...query, timestamp: nonce, nonce: timestamp },
  });
  const undated = (xml: string) => xml.replace(/<CreateTime>\d+/, '<CreateTime>0');
  const both = [
    ['an event', EVENTS, event],
    ['a message', MESSAGES, message],
  ] as const;
  const AFTER = [
    ['ten minutes', 10 * 60 + 30],
    ['an hour', 3_600],
    ['23 hours', 23 * 3_600],
    ['two days', 2 * DAY],
    ['a year', 365 * DAY],
  ] as const;
  const cases = both.flatMap(([what, path, xml]) =>
    AFTER.map(([when, seconds]) => ({ what, path, xml, when, seconds })),
  );
  const form = (push: EncryptedPush, path: string) => (path === EVENTS ? push : asMessage(push));

  it.each(cases)(
    'is not accepted after $when, even by a Redis that has forgotten: $what',
    async (one) => {
      const push = encryptPush(one.xml(), { timestamp: now(), nonce: String(now() + one.seconds) });
      expect(await post(platform, form(push, one.path), one.path)).toBe('200 success');
      await forgetSeen(platform);
      platform.clock.sleepThrough((one.seconds - 60) * 1000);
      await platform.pass(MINUTE);
      const before = await kept();
      expect(await post(platform, form(swapped(push), one.path), one.path)).toMatch(/^401 /);
      expect(await kept()).toEqual(before);
      expect(platform.logs.at(-1)?.message ?? '').not.toContain(String(now()));
      expect(platform.logs.some((line) => line.message.includes('sent again'))).toBe(true);
    },
  );

  /** Seconds for which each of its names is remembered, longest first. */
  async function remembered(): Promise<number[]> {
    const names = await platform.redis.keys(`${platform.config.redisKeyPrefix}seen:*`);
    const seconds = await Promise.all(names.map((name) => platform.redis.ttl(name)));
    return seconds.toSorted((one, other) => other - one);
  }

  it.each(both)(
    'is remembered until then where it has no time of its own: %s',
    async (_what, path, xml) => {
      const later = 20 * DAY;
      await forgetSeen(platform);
      const push = encryptPush(undated(xml()), { timestamp: now(), nonce: String(now() + later) });
      expect(await post(platform, form(push, path), path)).toBe('200 success');
      // Its fingerprint only: the next one of its kind may read the same.
      const [longest = 0, ...others] = await remembered();
      expect(longest).toBeGreaterThan(later + WINDOW);
      expect(longest).toBeLessThan(later + 2 * WINDOW);
      expect(Math.max(...others)).toBeLessThanOrEqual(660);

      platform.clock.sleepThrough((later - 60) * 1000);
      await platform.pass(MINUTE);
      const events = await eventCount(platform);
      expect(await post(platform, form(swapped(push), path), path)).toBe('200 success');
      expect(await eventCount(platform)).toBe(events);
    },
  );

  it.each([
    ['an event, which may end an authorization: for years', EVENTS, event, 3_650 * DAY],
    ['a message, of which there are many: for 30 days', MESSAGES, message, 30 * DAY],
  ])('%s', async (_what, path, xml, expected) => {
    await forgetSeen(platform);
    const nonce = String(now() + 3_650 * DAY);
    const push = encryptPush(undated(xml()), { timestamp: now(), nonce });
    expect(await post(platform, form(push, path), path)).toBe('200 success');
    const [longest = 0] = await remembered();
    expect(Math.abs(longest - expected)).toBeLessThan(2 * WINDOW);
  });

  it('does not end a later authorization, where it has no time of its own', async () => {
    const later = now() + 2 * DAY;
    const xml =
      `<xml><AppId>${COMPONENT.appid}</AppId><InfoType>unauthorized</InfoType>` +
      `<AuthorizerAppid>${AUTHORIZER}</AuthorizerAppid></xml>`;
    const push = encryptPush(xml, { timestamp: now(), nonce: String(later) });
    expect(await post(platform, push)).toBe('200 success');
    const key = platform.keys.record(AUTHORIZED);
    expect(await platform.redis.hget(key, 'revoked_at')).toBe(String(platform.clock.now()));
    await platform.pass(MINUTE);
    // WeChat sends it again, which it may, and the account authorizes.
    await authorize(platform);
    expect(await post(platform, push)).toBe('200 success');
    expect(await platform.redis.hexists(key, 'revoked_at')).toBe(0);
    platform.clock.sleepThrough((2 * DAY - 120) * 1000);
    await platform.pass(MINUTE);
    expect(await post(platform, swapped(push))).toBe('200 success');
    expect(await platform.redis.hexists(key, 'revoked_at')).toBe(0);
    // A true one, which reads the same, counts.
    const next = encryptPush(xml, { timestamp: now(), random: 'fedcba9876543210' });
    await platform.redis.del(
      ...(await platform.redis.keys(`${platform.config.redisKeyPrefix}seen:*text:*`)),
    );
    expect(await post(platform, next)).toBe('200 success');
    expect(await platform.redis.hexists(key, 'revoked_at')).toBe(1);
  });

  it.each(both)('is no reason to refuse %s that WeChat sends late', async (_what, path, xml) => {
    const made = xml();
    for (const [late, nonce] of [
      // The nonce is a time of no meaning: before the push was made, or still to come.
      ...[[3_600, now() - 3_600] as const, [3_600, now() + 3 * DAY] as const],
      ...[[DAY + 60, now() - DAY] as const, [3 * DAY, now() - 400 * DAY] as const],
    ]) {
      platform.clock.sleepThrough(late * 1000 - MINUTE);
      await platform.pass(MINUTE);
      await forgetSeen(platform);
      const events = await eventCount(platform);
      const push = encryptPush(made, { timestamp: now(), nonce: String(nonce) });
      expect(await post(platform, form(push, path), path)).toBe('200 success');
      expect(await eventCount(platform)).toBe(events + 1);
    }
  });
});

describe('row 55: a captured push', () => {
  const capture = (path: string, timestamp: number) => {
    const sealed = encryptPush(path === EVENTS ? event() : message(), { timestamp });
    return path === EVENTS ? sealed : asMessage(sealed);
  };

  it.each([EVENTS, MESSAGES])('is taken up to five minutes off, at %s', async (path) => {
    for (const offset of [-WINDOW, WINDOW]) {
      const events = await eventCount(platform);
      expect(await post(platform, capture(path, now() + offset), path)).toBe('200 success');
      expect(await eventCount(platform)).toBe(events + 1);
      await platform.pass(1_000);
    }
  });

  it.each([EVENTS, MESSAGES])('is refused a second beyond, at %s', async (path) => {
    const before = await kept();
    for (const offset of [-WINDOW - 1, WINDOW + 1, -2 * 86_400, 86_400]) {
      expect(await post(platform, capture(path, now() + offset), path)).toMatch(/^401 /);
    }
    expect(await kept()).toEqual(before);
  });

  it('is remembered for longer than its signature is accepted', async () => {
    await forgetSeen(platform);
    await post(platform, capture(EVENTS, now() + WINDOW));
    await post(platform, capture(MESSAGES, now() + WINDOW), MESSAGES);
    await platform.simulator.pushTicket();
    const names = await platform.redis.keys(`${platform.config.redisKeyPrefix}seen:*`);
    expect(names.length).toBeGreaterThan(3);
    for (const name of names) {
      const ttl = await platform.redis.pttl(name);
      expect(ttl).toBeGreaterThan(2 * WINDOW * 1000);
      expect(ttl).toBeLessThan(HOUR);
    }
  });

  it('is refused outside the window even when Redis has forgotten it', async () => {
    const push = capture(EVENTS, now());
    expect(await post(platform, push)).toBe('200 success');
    await platform.pass((WINDOW + 1) * 1000);
    await forgetSeen(platform);
    const before = await kept();
    expect(await post(platform, push)).toMatch(/^401 /);
    expect(await kept()).toEqual(before);
  });

  it('is refused outside the window with its timestamp and nonce exchanged', async () => {
    // Ten digits both, and the signature sorts its parts: it cannot tell which was which.
    const later = now() + 86_400;
    const push = encryptPush(event(), { timestamp: now(), nonce: String(later) });
    const exchanged = { ...push.query, timestamp: String(later), nonce: String(now()) };
    expect(sign(COMPONENT.token, exchanged.timestamp, exchanged.nonce, push.encrypt)).toBe(
      push.query.msg_signature,
    );
    expect(await post(platform, push)).toBe('200 success');
    platform.clock.sleepThrough(86_400_000 - MINUTE);
    await platform.pass(MINUTE);
    await forgetSeen(platform);
    const before = await kept();
    expect(await post(platform, { query: exchanged, body: push.body })).toMatch(/^40[01] /);
    expect(await kept()).toEqual(before);
  });
});

describe('row 55: a captured ticket, judged by its own age', () => {
  const mirror = () => platform.redis.get(platform.keys.ticketMirror(COMPONENT.appid));

  it('is not believed again when Redis has forgotten it, however often it comes', async () => {
    const push = platform.simulator.buildPush(undefined, 'component_verify_ticket');
    await post(platform, push);
    await platform.pass(MINUTE);
    await platform.simulator.pushTicket();
    await platform.settle();
    await platform.skip(HOUR);
    const [newest, events] = [await mirror(), await eventCount(platform)];
    for (let round = 0; round < 3; round += 1) {
      await forgetSeen(platform);
      const asked = calls();
      expect(await post(platform, push)).toBe('200 success');
      expect(calls()).toBe(asked);
    }
    expect(await mirror()).toBe(newest);
    expect(await eventCount(platform)).toBe(events);
  });

  it('does not come back as the newest when nothing in it says how old it is', async () => {
    const push = encryptPush(ticketXml({ ticket: 'ticket@@@ageless', createTime: 'yesterday' }), {
      timestamp: now(),
    });
    expect(await post(platform, push)).toBe('200 success');
    expect(await mirror()).toBe('ticket@@@ageless');
    await platform.pass(MINUTE);
    await platform.simulator.pushTicket();
    const newest = await mirror();
    expect(newest).not.toBe('ticket@@@ageless');
    await platform.pass(MINUTE);
    expect(await post(platform, push)).toBe('200 success');
    expect(await mirror()).toBe(newest);
  });

  it.each([
    ['twelve hours', 12 * HOUR],
    ['two days', 48 * HOUR],
  ])('is refused after %s, with nothing stored', async (_what, age) => {
    const push = platform.simulator.buildPush(undefined, 'component_verify_ticket');
    platform.clock.sleepThrough(age);
    await platform.pass(MINUTE);
    const before = await kept();
    expect(await post(platform, push)).toMatch(/^401 /);
    expect(await kept()).toEqual(before);
  });

  it.each(['yesterday', '', '-5'])(
    'is refused outside the window when its CreateTime %j says nothing',
    async (createTime) => {
      const push = encryptPush(ticketXml({ createTime }), { timestamp: now() });
      await platform.pass((WINDOW + 1) * 1000);
      const before = await kept();
      expect(await post(platform, push)).toMatch(/^401 /);
      expect(await kept()).toEqual(before);
    },
  );

  it('is taken half an hour late when it is the first to arrive, and is put to use', async () => {
    await platform.redis.del(
      ...(await platform.redis.keys(`${platform.config.redisKeyPrefix}*ticket*`)),
    );
    platform.clock.sleepThrough(3 * HOUR);
    const asked = calls();
    const late = platform.simulator.pushTicket(undefined, { lateMs: 30 * MINUTE });
    await platform.pass(30 * MINUTE);
    expect(await late).toMatchObject({ status: 200, answer: 'success' });
    await platform.settle();
    expect(await mirror()).toBe(platform.simulator.latestMint('component_verify_ticket')?.value);
    expect(calls()).toBeGreaterThan(asked);
    const [entry] = await newestEvents(platform);
    expect(Date.parse(entry?.received_at ?? '') / 1000 - Number(entry?.create_time)).toBe(1_800);
  });
});
