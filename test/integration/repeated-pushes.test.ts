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

let station: TestPlatform;
beforeAll(async () => {
  station = await createTestPlatform();
  station.simulator.addFault(NO_PUSHES_ON_REQUEST);
  await station.simulator.pushTicket();
  await station.settle();
});
afterAll(() => station.close());
// So that no test meets a push of the one before.
beforeEach(() => station.pass(MINUTE));

const now = () => Math.floor(station.clock.now() / 1000);
const event = (infoType = 'unauthorized') => ticketXml({ infoType, createTime: now() });
const message = () =>
  `<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>${now()}</CreateTime>` +
  `<MsgType>text</MsgType><MsgId>${now()}</MsgId></xml>`;
const calls = () => station.simulator.ledger.calls.length;
/** Without the counters, which are meant to move. */
async function kept(): Promise<Record<string, string>> {
  await pushCounts(station);
  const counters = station.keys.pushStats(COMPONENT.appid);
  const entries = Object.entries(await contents(station)).filter(([name]) => name !== counters);
  return Object.fromEntries(entries);
}

describe('row 49: the same push again', () => {
  it.each([
    ['an event', 'unauthorized'],
    ['a ticket', 'component_verify_ticket'],
  ])('is counted as a duplicate when WeChat sends it twice: %s', async (_what, infoType) => {
    const before = await pushCounts(station);
    const events = await eventCount(station);
    const push = await station.simulator.push(undefined, infoType, {}, { twice: true });
    expect(push).toMatchObject({ attempt: 2, status: 200, answer: 'success' });
    const after = await pushCounts(station);
    expect(after.accepted - before.accepted).toBe(1);
    expect(after.duplicate - before.duplicate).toBe(1);
    expect(await eventCount(station)).toBe(events + 1);
  });

  it.each([
    ['events', EVENTS],
    ['messages', MESSAGES],
  ])(`is one entry for ${COPIES} copies that arrive together, of %s`, async (_what, path) => {
    const sealed = encryptPush(path === EVENTS ? event() : message(), { timestamp: now() });
    const push = path === EVENTS ? sealed : asMessage(sealed);
    const events = await eventCount(station);
    const answers = await Promise.all(
      Array.from({ length: COPIES }, () => post(station, push, path)),
    );
    expect(new Set(answers)).toEqual(new Set(['200 success']));
    expect(await eventCount(station)).toBe(events + 1);
  });

  it('changes nothing but a counter, of a ticket, and asks WeChat for nothing', async () => {
    const push = station.simulator.buildPush(undefined, 'component_verify_ticket');
    expect(await post(station, push)).toBe('200 success');
    const [before, asked] = [await kept(), calls()];
    for (let copy = 0; copy < COPIES; copy += 1) {
      expect(await post(station, push)).toBe('200 success');
    }
    expect(await kept()).toEqual(before);
    expect(calls()).toBe(asked);
  });

  it('does not press WeChat while it refuses us', async () => {
    // So that a new ticket makes wxkeeper ask for a token.
    station.clock.sleepThrough(3 * HOUR);
    station.simulator.addFault({
      api: 'api_component_token',
      times: 'forever',
      fault: { type: 'errcode', errcode: 40125 },
    });
    const push = station.simulator.buildPush(undefined, 'component_verify_ticket');
    const before = calls();
    expect(await post(station, push)).toBe('200 success');
    const asked = calls();
    expect(asked).toBeGreaterThan(before);
    for (let copy = 0; copy < 10; copy += 1) await post(station, push);
    expect(calls()).toBe(asked);
    station.simulator.clearFaults();
    station.simulator.addFault(NO_PUSHES_ON_REQUEST);
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
    const [events, counts] = [await eventCount(station), await pushCounts(station)];
    const xml = xmlOf(infoType);
    for (const copy of [1, 2, 3]) {
      expect(await post(station, anew(xml, copy))).toBe('200 success');
    }
    expect(await eventCount(station)).toBe(events + 1);
    const { accepted, duplicate } = await pushCounts(station);
    expect([accepted - counts.accepted, duplicate - counts.duplicate]).toEqual([1, 2]);
  });

  it('is one entry at two replicas', async () => {
    const replica = await station.addReplica();
    const events = await eventCount(station);
    const xml = xmlOf('authorized');
    const elsewhere = {
      ...station,
      publicUrl: (path?: string) =>
        station.publicUrl(path).replace(/:\d+/, `:${replica.publicPort()}`),
    };
    const answers = await Promise.all([post(station, anew(xml, 1)), post(elsewhere, anew(xml, 2))]);
    expect(answers).toEqual(['200 success', '200 success']);
    expect(await eventCount(station)).toBe(events + 1);
    await replica.stop();
  });

  it.each([
    ['a second later', () => xmlOf('never_heard_of').replace(String(now()), String(now() + 1))],
    ['about something else', () => xmlOf('never_heard_of', '<b>2</b>')],
    ['of another type', () => xmlOf('never_heard_of').replace('heard', 'read')],
  ])('is another one %s', async (_what, other) => {
    const events = await eventCount(station);
    for (const [copy, xml] of [xmlOf('never_heard_of'), other()].entries()) {
      expect(await post(station, anew(xml, copy))).toBe('200 success');
    }
    expect(await eventCount(station)).toBe(events + 2);
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
      expect(await post(station, form(push, one.path), one.path)).toBe('200 success');
      await forgetSeen(station);
      station.clock.sleepThrough((one.seconds - 60) * 1000);
      await station.pass(MINUTE);
      const before = await kept();
      expect(await post(station, form(swapped(push), one.path), one.path)).toMatch(/^401 /);
      expect(await kept()).toEqual(before);
      expect(station.logs.at(-1)?.message ?? '').not.toContain(String(now()));
      expect(station.logs.some((line) => line.message.includes('sent again'))).toBe(true);
    },
  );

  /** Seconds for which each of its names is remembered, longest first. */
  async function remembered(): Promise<number[]> {
    const names = await station.redis.keys(`${station.config.redisKeyPrefix}seen:*`);
    const seconds = await Promise.all(names.map((name) => station.redis.ttl(name)));
    return seconds.toSorted((one, other) => other - one);
  }

  it.each(both)(
    'is remembered until then where it has no time of its own: %s',
    async (_what, path, xml) => {
      const later = 20 * DAY;
      await forgetSeen(station);
      const push = encryptPush(undated(xml()), { timestamp: now(), nonce: String(now() + later) });
      expect(await post(station, form(push, path), path)).toBe('200 success');
      // Its fingerprint only: the next one of its kind may read the same.
      const [longest = 0, ...others] = await remembered();
      expect(longest).toBeGreaterThan(later + WINDOW);
      expect(longest).toBeLessThan(later + 2 * WINDOW);
      expect(Math.max(...others)).toBeLessThanOrEqual(660);

      station.clock.sleepThrough((later - 60) * 1000);
      await station.pass(MINUTE);
      const events = await eventCount(station);
      expect(await post(station, form(swapped(push), path), path)).toBe('200 success');
      expect(await eventCount(station)).toBe(events);
    },
  );

  it.each([
    ['an event, which may end an authorization: for years', EVENTS, event, 3_650 * DAY],
    ['a message, of which there are many: for 30 days', MESSAGES, message, 30 * DAY],
  ])('%s', async (_what, path, xml, expected) => {
    await forgetSeen(station);
    const nonce = String(now() + 3_650 * DAY);
    const push = encryptPush(undated(xml()), { timestamp: now(), nonce });
    expect(await post(station, form(push, path), path)).toBe('200 success');
    const [longest = 0] = await remembered();
    expect(Math.abs(longest - expected)).toBeLessThan(2 * WINDOW);
  });

  it('does not end a later authorization, where it has no time of its own', async () => {
    const later = now() + 2 * DAY;
    const xml =
      `<xml><AppId>${COMPONENT.appid}</AppId><InfoType>unauthorized</InfoType>` +
      `<AuthorizerAppid>${AUTHORIZER}</AuthorizerAppid></xml>`;
    const push = encryptPush(xml, { timestamp: now(), nonce: String(later) });
    expect(await post(station, push)).toBe('200 success');
    const key = station.keys.record(AUTHORIZED);
    expect(await station.redis.hget(key, 'revoked_at')).toBe(String(station.clock.now()));
    await station.pass(MINUTE);
    // WeChat sends it again, which it may, and the account authorizes.
    await authorize(station);
    expect(await post(station, push)).toBe('200 success');
    expect(await station.redis.hexists(key, 'revoked_at')).toBe(0);
    station.clock.sleepThrough((2 * DAY - 120) * 1000);
    await station.pass(MINUTE);
    expect(await post(station, swapped(push))).toBe('200 success');
    expect(await station.redis.hexists(key, 'revoked_at')).toBe(0);
    // A true one, which reads the same, counts.
    const next = encryptPush(xml, { timestamp: now(), random: 'fedcba9876543210' });
    await station.redis.del(
      ...(await station.redis.keys(`${station.config.redisKeyPrefix}seen:*text:*`)),
    );
    expect(await post(station, next)).toBe('200 success');
    expect(await station.redis.hexists(key, 'revoked_at')).toBe(1);
  });

  it.each(both)('is no reason to refuse %s that WeChat sends late', async (_what, path, xml) => {
    const made = xml();
    for (const [late, nonce] of [
      // The nonce is a time of no meaning: before the push was made, or still to come.
      ...[[3_600, now() - 3_600] as const, [3_600, now() + 3 * DAY] as const],
      ...[[DAY + 60, now() - DAY] as const, [3 * DAY, now() - 400 * DAY] as const],
    ]) {
      station.clock.sleepThrough(late * 1000 - MINUTE);
      await station.pass(MINUTE);
      await forgetSeen(station);
      const events = await eventCount(station);
      const push = encryptPush(made, { timestamp: now(), nonce: String(nonce) });
      expect(await post(station, form(push, path), path)).toBe('200 success');
      expect(await eventCount(station)).toBe(events + 1);
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
      const events = await eventCount(station);
      expect(await post(station, capture(path, now() + offset), path)).toBe('200 success');
      expect(await eventCount(station)).toBe(events + 1);
      await station.pass(1_000);
    }
  });

  it.each([EVENTS, MESSAGES])('is refused a second beyond, at %s', async (path) => {
    const before = await kept();
    for (const offset of [-WINDOW - 1, WINDOW + 1, -2 * 86_400, 86_400]) {
      expect(await post(station, capture(path, now() + offset), path)).toMatch(/^401 /);
    }
    expect(await kept()).toEqual(before);
  });

  it('is remembered for longer than its signature is accepted', async () => {
    await forgetSeen(station);
    await post(station, capture(EVENTS, now() + WINDOW));
    await post(station, capture(MESSAGES, now() + WINDOW), MESSAGES);
    await station.simulator.pushTicket();
    const names = await station.redis.keys(`${station.config.redisKeyPrefix}seen:*`);
    expect(names.length).toBeGreaterThan(3);
    for (const name of names) {
      const ttl = await station.redis.pttl(name);
      expect(ttl).toBeGreaterThan(2 * WINDOW * 1000);
      expect(ttl).toBeLessThan(HOUR);
    }
  });

  it('is refused outside the window even when Redis has forgotten it', async () => {
    const push = capture(EVENTS, now());
    expect(await post(station, push)).toBe('200 success');
    await station.pass((WINDOW + 1) * 1000);
    await forgetSeen(station);
    const before = await kept();
    expect(await post(station, push)).toMatch(/^401 /);
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
    expect(await post(station, push)).toBe('200 success');
    station.clock.sleepThrough(86_400_000 - MINUTE);
    await station.pass(MINUTE);
    await forgetSeen(station);
    const before = await kept();
    expect(await post(station, { query: exchanged, body: push.body })).toMatch(/^40[01] /);
    expect(await kept()).toEqual(before);
  });
});

describe('row 55: a captured ticket, judged by its own age', () => {
  const mirror = () => station.redis.get(station.keys.ticketMirror(COMPONENT.appid));

  it('is not believed again when Redis has forgotten it, however often it comes', async () => {
    const push = station.simulator.buildPush(undefined, 'component_verify_ticket');
    await post(station, push);
    await station.pass(MINUTE);
    await station.simulator.pushTicket();
    await station.settle();
    await station.skip(HOUR);
    const [newest, events] = [await mirror(), await eventCount(station)];
    for (let round = 0; round < 3; round += 1) {
      await forgetSeen(station);
      const asked = calls();
      expect(await post(station, push)).toBe('200 success');
      expect(calls()).toBe(asked);
    }
    expect(await mirror()).toBe(newest);
    expect(await eventCount(station)).toBe(events);
  });

  it('does not come back as the newest when nothing in it says how old it is', async () => {
    const push = encryptPush(ticketXml({ ticket: 'ticket@@@ageless', createTime: 'yesterday' }), {
      timestamp: now(),
    });
    expect(await post(station, push)).toBe('200 success');
    expect(await mirror()).toBe('ticket@@@ageless');
    await station.pass(MINUTE);
    await station.simulator.pushTicket();
    const newest = await mirror();
    expect(newest).not.toBe('ticket@@@ageless');
    await station.pass(MINUTE);
    expect(await post(station, push)).toBe('200 success');
    expect(await mirror()).toBe(newest);
  });

  it.each([
    ['twelve hours', 12 * HOUR],
    ['two days', 48 * HOUR],
  ])('is refused after %s, with nothing stored', async (_what, age) => {
    const push = station.simulator.buildPush(undefined, 'component_verify_ticket');
    station.clock.sleepThrough(age);
    await station.pass(MINUTE);
    const before = await kept();
    expect(await post(station, push)).toMatch(/^401 /);
    expect(await kept()).toEqual(before);
  });

  it.each(['yesterday', '', '-5'])(
    'is refused outside the window when its CreateTime %j says nothing',
    async (createTime) => {
      const push = encryptPush(ticketXml({ createTime }), { timestamp: now() });
      await station.pass((WINDOW + 1) * 1000);
      const before = await kept();
      expect(await post(station, push)).toMatch(/^401 /);
      expect(await kept()).toEqual(before);
    },
  );

  it('is taken half an hour late when it is the first to arrive, and is put to use', async () => {
    await station.redis.del(
      ...(await station.redis.keys(`${station.config.redisKeyPrefix}*ticket*`)),
    );
    station.clock.sleepThrough(3 * HOUR);
    const asked = calls();
    const late = station.simulator.pushTicket(undefined, { lateMs: 30 * MINUTE });
    await station.pass(30 * MINUTE);
    expect(await late).toMatchObject({ status: 200, answer: 'success' });
    await station.settle();
    expect(await mirror()).toBe(station.simulator.latestMint('component_verify_ticket')?.value);
    expect(calls()).toBeGreaterThan(asked);
    const [entry] = await newestEvents(station);
    expect(Date.parse(entry?.received_at ?? '') / 1000 - Number(entry?.create_time)).toBe(1_800);
  });
});
