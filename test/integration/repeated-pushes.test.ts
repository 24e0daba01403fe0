import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sign } from '../../src/wechat/envelope.ts';
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
} from '../support/public-listener.ts';
import { sealPush, ticketXml } from '../support/seal.ts';
import {
  COMPONENT,
  createStation,
  HOUR,
  MINUTE,
  type Station,
  NO_PUSHES_ON_REQUEST,
} from '../support/station.ts';

/** Longest distance between a signed timestamp and our clock, seconds. */
const WINDOW = 300;
const COPIES = 100;

let station: Station;
beforeAll(async () => {
  station = await createStation();
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
    const sealed = sealPush(path === EVENTS ? event() : message(), { timestamp: now() });
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

describe('row 55: a captured push', () => {
  const capture = (path: string, timestamp: number) => {
    const sealed = sealPush(path === EVENTS ? event() : message(), { timestamp });
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
    const push = sealPush(event(), { timestamp: now(), nonce: String(later) });
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
    const push = sealPush(ticketXml({ ticket: 'ticket@@@ageless', createTime: 'yesterday' }), {
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
      const push = sealPush(ticketXml({ createTime }), { timestamp: now() });
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
