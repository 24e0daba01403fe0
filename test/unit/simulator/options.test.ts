import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createScaledClock } from '../../../src/sandbox/wechat/clock.ts';
import type { CallRecord, PushRecord } from '../../../src/sandbox/wechat/ledger.ts';
import { isLoopback, type SimulatorOptions } from '../../../src/sandbox/wechat/options.ts';
import { createSimulator } from '../../../src/sandbox/wechat/simulator.ts';
import { COMPONENT, mintToken, START, startReceiver, startSimulator } from './harness.ts';

function create(options: Partial<SimulatorOptions>): () => unknown {
  return () => createSimulator({ components: [COMPONENT], ...options });
}

describe('createSimulator', () => {
  it.each<[string, Partial<SimulatorOptions>]>([
    ['at least one component', { components: [] }],
    ['empty or twice', { components: [COMPONENT, COMPONENT] }],
    ['empty or twice', { components: [{ ...COMPONENT, appid: '' }] }],
    ['secret of wx00000000000000c1 is empty', { components: [{ ...COMPONENT, secret: '' }] }],
    ['43 letters', { components: [{ ...COMPONENT, encodingAesKey: 'short' }] }],
    ['43 letters', { components: [{ ...COMPONENT, previousEncodingAesKey: 'short' }] }],
    ['whole http', { components: [{ ...COMPONENT, callbackUrl: '/callback' }] }],
    ['whole http', { components: [{ ...COMPONENT, callbackUrl: 'ftp://x/' }] }],
    ['ticketLifeSeconds', { ticketLifeSeconds: 0 }],
    ['preAuthCodeSeconds', { preAuthCodeSeconds: NaN }],
    ['overlapSeconds must be 0 or more', { overlapSeconds: -1 }],
    ['divideTimesBy', { divideTimesBy: 0 }],
    ['hosts', { hosts: 0 }],
    ['hosts', { hosts: 1.5 }],
    ['port', { port: 65_536 }],
    ['ledgerLimit', { ledgerLimit: 0 }],
  ])('says what is wrong: %s', (message, options) => {
    expect(create(options)).toThrow(message);
  });

  it('never says a secret', () => {
    const bad = { ...COMPONENT, encodingAesKey: 'almost-a-secret' };
    expect(create({ components: [bad] })).toThrow(/^(?!.*almost-a-secret)/);
  });

  it('listens beyond loopback only when told so', () => {
    expect(create({ host: '0.0.0.0' })).toThrow('allowRemote');
    expect(create({ host: '0.0.0.0', allowRemote: true })).not.toThrow();
  });

  it('reports calls and pushes as they are decided', async () => {
    const receiver = await startReceiver();
    const calls: CallRecord[] = [];
    const pushes: PushRecord[] = [];
    const { simulator } = await startSimulator({
      components: [{ ...COMPONENT, callbackUrl: receiver.url }],
      onCall: (call) => calls.push({ ...call }),
      onPush: (push) => pushes.push(push),
    });
    await mintToken(simulator);
    simulator.addFault({ api: '*', fault: { type: 'html' } });
    await mintToken(simulator).catch(() => undefined);
    await simulator.pushTicket();
    expect(calls).toEqual(simulator.ledger.calls);
    expect(pushes).toEqual(simulator.ledger.pushes);
  });

  it('keeps a ledger of bounded length, newest last', async () => {
    const { simulator } = await startSimulator({ ledgerLimit: 2 });
    const issued = [1, 2, 3].map(() => simulator.issueTicket());
    expect(simulator.ledger.mints.map((mint) => mint.value)).toEqual(issued.slice(1));
  });
});

describe('isLoopback', () => {
  it.each(['localhost', '::1', '127.0.0.1', '127.8.9.10', '::ffff:127.0.0.1'])('%s is', (host) =>
    expect(isLoopback(host)).toBe(true),
  );
  it.each(['', '0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '127.0.0.1.example.com'])(
    '"%s" is not',
    (host) => expect(isLoopback(host)).toBe(false),
  );
});

describe('a scaled clock', () => {
  it('starts at the present and runs as many times faster as it says', async () => {
    const startedAt = Date.now();
    const clock = createScaledClock({ speed: 10_000 });
    expect(Math.abs(clock.now() - startedAt)).toBeLessThan(60_000);
    const before = clock.now();
    // A minute of this clock is six milliseconds.
    await new Promise<void>((resolve) => clock.setTimer(60_000, resolve));
    expect(clock.now() - before).toBeGreaterThanOrEqual(60_000);
  });

  it('forgets a cancelled timer', async () => {
    const clock = createScaledClock({ speed: 1000 });
    const fired = vi.fn();
    clock.setTimer(1000, fired)();
    await new Promise<void>((resolve) => clock.setTimer(20_000, resolve));
    expect(fired).not.toHaveBeenCalled();
  });

  it('waits for a distant time without asking setTimeout for more than it can do', async () => {
    const warned = vi.fn();
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const clock = createScaledClock({ speed: 1000 });
    const fired = vi.fn();
    onTestFinished(clock.setTimer(1e15, fired));
    await new Promise<void>((resolve) => clock.setTimer(20_000, resolve));
    expect(fired).not.toHaveBeenCalled();
    expect(warned).not.toHaveBeenCalled();
  });

  it('is the clock when no other is given', async () => {
    const { simulator } = await startSimulator({ clock: undefined });
    simulator.issueTicket();
    const at = simulator.latestMint('component_verify_ticket')?.at ?? START;
    expect(Math.abs(at - Date.now())).toBeLessThan(60_000);
  });
});
