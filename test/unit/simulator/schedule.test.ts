import { describe, expect, it } from 'vitest';
import {
  COMPONENT,
  element,
  HOUR,
  MINUTE,
  open,
  OTHER_COMPONENT,
  SECOND,
  START,
  startReceiver,
  startSimulator,
  startWithReceiver,
  until,
  type Receiver,
} from './harness.ts';

/** The tickets that arrived, in order. */
function tickets(receiver: Receiver): (string | undefined)[] {
  return receiver.pushes.map((push) => element(open(push), 'ComponentVerifyTicket'));
}

describe('the schedule', () => {
  it('pushes at once and then every ten minutes, a new ticket each time', async () => {
    const { simulator, clock, receiver } = await startWithReceiver({ pushing: true });
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
    await clock.advance(10 * MINUTE - 1);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
    await clock.advance(1);
    await simulator.idle();
    await clock.advance(10 * MINUTE);
    await simulator.idle();
    expect(simulator.ledger.pushes.map((push) => push.at - START)).toEqual([
      0,
      10 * MINUTE,
      20 * MINUTE,
    ]);
    expect(new Set(tickets(receiver)).size).toBe(3);
  });

  it('may leave out the push at the start', async () => {
    const { simulator, clock, receiver } = await startWithReceiver({
      pushing: true,
      pushOnStart: false,
    });
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(0);
    await clock.advance(10 * MINUTE);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
  });

  it('keeps its rhythm when time leaps, each push with the time it was due', async () => {
    const { simulator, clock } = await startWithReceiver({ pushing: true });
    await clock.advance(HOUR);
    await simulator.idle();
    const times = simulator.ledger.pushes.map((push) => push.createTime - START / 1000);
    expect(times.toSorted((a, b) => a - b)).toEqual([0, 600, 1200, 1800, 2400, 3000, 3600]);
  });

  it('keeps its rhythm when one push is late, and makes up for none that were slept through', async () => {
    const { simulator, clock } = await startWithReceiver({ pushing: true });
    const sentAt = (): number[] => simulator.ledger.pushes.map((push) => push.at - START);
    await simulator.idle();
    clock.sleepThrough(13 * MINUTE);
    await clock.advance(0);
    await simulator.idle();
    await clock.advance(7 * MINUTE);
    await simulator.idle();
    expect(sentAt()).toEqual([0, 13 * MINUTE, 20 * MINUTE]);
    clock.sleepThrough(5 * HOUR);
    await clock.advance(0);
    await simulator.idle();
    expect(sentAt().slice(3)).toEqual([5 * HOUR + 20 * MINUTE]);
    await clock.advance(10 * MINUTE);
    await simulator.idle();
    expect(sentAt().slice(4)).toEqual([5 * HOUR + 30 * MINUTE]);
  });

  it('is divided together with the lives', async () => {
    const { simulator, clock, receiver } = await startWithReceiver({
      pushing: true,
      divideTimesBy: 60,
    });
    await simulator.idle();
    await clock.advance(10 * SECOND);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(2);
  });

  it('can be turned off and on again', async () => {
    const { simulator, clock, receiver } = await startWithReceiver({ pushing: true });
    await simulator.idle();
    simulator.setPushing(false);
    await clock.advance(HOUR);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
    simulator.setPushing(true);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(2);
    simulator.setPushing(true);
    await clock.advance(10 * MINUTE);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(3);
  });

  it('issues no tickets while there is nowhere to push them', async () => {
    const { simulator, clock } = await startSimulator({ pushing: true });
    await clock.advance(HOUR);
    expect(simulator.ledger).toEqual({ mints: [], calls: [], pushes: [], messages: [] });
  });

  it('serves every component with its own key', async () => {
    const receiver = await startReceiver();
    const { simulator } = await startSimulator({
      components: [
        { ...OTHER_COMPONENT, callbackUrl: receiver.url },
        { ...COMPONENT, callbackUrl: receiver.url },
      ],
      pushing: true,
    });
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(2);
    const mine = receiver.pushes.find((push) => push.body.includes(COMPONENT.appid));
    expect(open(mine as never)).toContain('component_verify_ticket');
    simulator.setPushing(false, COMPONENT.appid);
  });
});

describe('a push that failed', () => {
  it('is not sent again by default', async () => {
    const { simulator, clock, receiver } = await startWithReceiver();
    receiver.reply = { status: 500, body: '' };
    await simulator.pushTicket();
    await clock.advance(HOUR);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
  });

  it('is sent again byte for byte, with the same query, until it is accepted', async () => {
    const { simulator, clock, receiver } = await startWithReceiver({ repushSeconds: 60 });
    receiver.reply = { status: 503, body: 'later' };
    await simulator.pushTicket();
    await clock.advance(MINUTE);
    await simulator.idle();
    receiver.reply = { status: 200, body: 'success' };
    await clock.advance(MINUTE);
    await simulator.idle();
    await clock.advance(HOUR);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(3);
    expect(new Set(receiver.pushes.map((push) => push.body + push.query.toString())).size).toBe(1);
    expect(simulator.ledger.pushes.map(({ attempt, accepted }) => [attempt, accepted])).toEqual([
      [1, false],
      [2, false],
      [3, true],
    ]);
  });

  it('is given up after as many repetitions as the options say', async () => {
    const { simulator, clock, receiver } = await startWithReceiver({
      repushSeconds: 60,
      repushLimit: 2,
    });
    receiver.reply = { status: 503, body: '' };
    await simulator.pushTicket();
    for (let minute = 0; minute < 5; minute += 1) {
      await clock.advance(MINUTE);
      await simulator.idle();
    }
    expect(receiver.pushes).toHaveLength(3);
  });
});

describe('stop', () => {
  it('ends pushes that wait for an answer or for their time, and all timers', async () => {
    const { simulator, clock, receiver } = await startWithReceiver({
      pushing: true,
      repushSeconds: 1,
    });
    await simulator.idle();
    receiver.reply = null;
    const waiting = simulator.pushTicket(undefined, { twice: true });
    const late = simulator.pushTicket(undefined, { lateMs: HOUR });
    await until(() => receiver.pushes.length === 2);
    await simulator.stop();
    expect(await waiting).toMatchObject({ accepted: false, error: 'simulator stopped' });
    expect(await late).toMatchObject({ accepted: false, error: 'simulator stopped' });
    expect(clock.pendingTimers()).toBe(0);
    expect(receiver.pushes).toHaveLength(2);
  });

  it('can be followed by another start on the same ports', async () => {
    const { simulator, receiver } = await startWithReceiver({ pushing: true });
    await simulator.idle();
    const { url } = simulator;
    await simulator.stop();
    await expect(fetch(url)).rejects.toThrow();
    await simulator.start();
    await simulator.idle();
    expect(simulator.url).toBe(url);
    expect(receiver.pushes).toHaveLength(2);
  });
});
