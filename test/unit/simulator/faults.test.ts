import { describe, expect, it } from 'vitest';
import type { ApiFault } from '../../../src/sandbox/wechat/faults.ts';
import type { Simulator } from '../../../src/sandbox/wechat/simulator.ts';
import {
  askForToken,
  callApi,
  mintToken,
  SECOND,
  START,
  startSimulator,
  startWithFault,
  tokensMinted,
  until,
} from './harness.ts';

describe('the queue of rules', () => {
  const errcode = (code: number): ApiFault => ({ type: 'errcode', errcode: code });

  async function errcodes(simulator: Simulator, calls: number): Promise<unknown[]> {
    const seen: unknown[] = [];
    for (let call = 0; call < calls; call += 1) {
      const { json } = await callApi(simulator, 'api_component_token', 'not json');
      seen.push(json['errcode']);
    }
    return seen;
  }

  it('uses the first rule that fits, as often as it says, then the next', async () => {
    const { simulator } = await startSimulator();
    simulator.addFault({ api: 'api_create_preauthcode', fault: errcode(1) });
    simulator.addFault({ api: 'api_component_token', fault: errcode(2), times: 2 });
    simulator.addFault({ api: '*', fault: errcode(3) });
    expect(await errcodes(simulator, 4)).toEqual([2, 2, 3, 47001]);
    expect(simulator.faults).toEqual([{ api: 'api_create_preauthcode', fault: errcode(1) }]);
  });

  it('keeps a rule for ever until the rules are cleared', async () => {
    const { simulator } = await startSimulator();
    simulator.addFault({ api: '*', fault: errcode(9), times: 'forever' });
    expect(await errcodes(simulator, 5)).toEqual([9, 9, 9, 9, 9]);
    simulator.clearFaults();
    expect(await errcodes(simulator, 1)).toEqual([47001]);
  });

  it('can hit one host and spare the others', async () => {
    const { simulator } = await startSimulator({ hosts: 2 });
    simulator.addFault({ api: '*', host: 1, fault: errcode(9), times: 'forever' });
    const first = await callApi(simulator, 'api_component_token', '', { host: 0 });
    const second = await callApi(simulator, 'api_component_token', '', { host: 1 });
    expect([first.json['errcode'], second.json['errcode']]).toEqual([44002, 9]);
  });

  it('refuses what is not a rule', async () => {
    const { simulator } = await startSimulator();
    const bad: object[] = [
      {},
      { api: 'api_query_nothing', fault: { type: 'hang' } },
      { api: '*', fault: { type: 'explode' } },
      { api: '*', fault: { type: 'delay' } },
      { api: '*', fault: { type: 'hang' }, times: 0 },
      { api: '*', fault: { type: 'hang' }, sometimes: true },
      { push: { never: true } },
    ];
    for (const rule of bad) expect(() => simulator.addFault(rule as never)).toThrow();
    expect(simulator.faults).toEqual([]);
  });
});

describe('a fault that replaces the work', () => {
  it.each<[string, ApiFault]>([
    ['status', { type: 'status', status: 502 }],
    ['errcode', { type: 'errcode', errcode: -1 }],
    ['truncate', { type: 'truncate' }],
    ['large', { type: 'large', bytes: 10 }],
    ['html', { type: 'html' }],
  ])('%s mints nothing', async (_type, fault) => {
    const simulator = await startWithFault(fault);
    await (await askForToken(simulator)).arrayBuffer();
    expect(tokensMinted(simulator)).toBe(0);
  });

  it('leaves an older token alive; after the work it would be dead', async () => {
    const { simulator } = await startSimulator();
    const token = await mintToken(simulator);
    const fault: ApiFault = { type: 'status', status: 500 };
    simulator.addFault({ api: '*', fault });
    await askForToken(simulator);
    expect(simulator.isLive('component_access_token', token)).toBe(true);
    simulator.addFault({ api: '*', fault, afterMint: true });
    await askForToken(simulator);
    expect(simulator.isLive('component_access_token', token)).toBe(false);
  });

  it('is noted in the ledger with an errcode only if the work was done or one was told', async () => {
    const { simulator } = await startSimulator();
    simulator.addFault({ api: '*', fault: { type: 'status', status: 500 } });
    simulator.addFault({ api: '*', fault: { type: 'status', status: 500 }, afterMint: true });
    simulator.addFault({ api: '*', fault: { type: 'errcode', errcode: 45009 } });
    for (let call = 0; call < 3; call += 1) await askForToken(simulator);
    expect(simulator.ledger.calls.map(({ fault, errcode }) => [fault, errcode])).toEqual([
      ['status', null],
      ['status', 0],
      ['errcode', 45009],
    ]);
  });
});

describe('delay', () => {
  it('answers late, but normally', async () => {
    const { simulator, clock } = await startSimulator();
    simulator.addFault({ api: '*', fault: { type: 'delay', ms: 3 * SECOND } });
    const asked = askForToken(simulator);
    await until(() => simulator.ledger.calls.length === 1);
    await simulator.idle();
    await clock.advance(3 * SECOND - 1);
    expect(tokensMinted(simulator)).toBe(0);
    await clock.advance(1);
    expect(await (await asked).json()).toHaveProperty('component_access_token');
    expect(simulator.latestMint('component_access_token')?.at).toBe(START + 3 * SECOND);
  });

  it('does the work also for a caller who has given up', async () => {
    const { simulator, clock } = await startSimulator();
    simulator.addFault({ api: '*', fault: { type: 'delay', ms: SECOND } });
    const controller = new AbortController();
    const asked = askForToken(simulator, { signal: controller.signal });
    await until(() => simulator.ledger.calls.length === 1);
    controller.abort();
    await expect(asked).rejects.toThrow('aborted');
    await clock.advance(SECOND);
    await simulator.idle();
    expect(tokensMinted(simulator)).toBe(1);
  });

  it('may come after the work', async () => {
    const { simulator, clock } = await startSimulator();
    simulator.addFault({ api: '*', fault: { type: 'delay', ms: SECOND }, afterMint: true });
    const asked = askForToken(simulator);
    await until(() => tokensMinted(simulator) === 1);
    await clock.advance(SECOND);
    expect(await (await asked).json()).toMatchObject({
      component_access_token: simulator.latestMint('component_access_token')?.value,
    });
  });
});

describe('hang', () => {
  it('never answers, does not count as in flight, and ends when the simulator stops', async () => {
    const simulator = await startWithFault({ type: 'hang' }, true);
    const asked = askForToken(simulator);
    asked.catch(() => undefined);
    await until(() => tokensMinted(simulator) === 1);
    await simulator.idle();
    await simulator.stop();
    await expect(asked).rejects.toThrow('fetch failed');
  });
});
