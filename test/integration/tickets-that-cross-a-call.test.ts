import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refuseValue } from '../../src/store/credentials/invalidate.ts';
import { acceptTicket, refuseTicket } from '../../src/store/tickets/ticket.ts';
import { expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { logged, read, statusOf } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { FAILED, MINT_API } from '../kit/scenario.ts';

const CALL_MS = 2_000;

let platform: TestPlatform;
beforeEach(async () => {
  platform = await createTestPlatform();
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
});
afterEach(() => platform.close());

const ticketOf = ({ redis, keys }: TestPlatform) =>
  redis.hgetall(keys.ticketRecord(COMPONENT.appid));

/** A ticket that the service has taken in and that WeChat will not have. */
async function receiveDeadTicket(ticket: string): Promise<void> {
  const { clock, store } = platform;
  await clock.advance(1_000);
  const now = clock.now();
  const arrived = {
    appid: COMPONENT.appid,
    ticket,
    createTime: now,
    receivedAt: now,
    fingerprint: ticket,
    event: { id: ticket },
  };
  expect(await acceptTicket(store, arrived)).toBe('stored');
}

describe('row 42: the next ticket arrives while WeChat is asked with the last one', () => {
  it.each([
    { what: 'the very first one', before: [] },
    { what: 'one after another', before: ['ticket@@@zero'] },
  ])('$what: the refusal is noted for the one that was sent, the new one is used', async (row) => {
    const { simulator, app, clock } = platform;
    for (const ticket of [...row.before, 'ticket@@@one']) await receiveDeadTicket(ticket);
    simulator.addFault({ api: MINT_API, fault: { type: 'delay', ms: CALL_MS } });
    const calls = () => simulator.ledger.calls.filter(({ api }) => api === MINT_API).length;
    const look = app.keeper.ensureFresh(TOKEN, 'ticket');
    while (calls() === 0) await new Promise(setImmediate);

    await clock.advance(1_000);
    expect(await simulator.pushTicket()).toMatchObject({ accepted: true });
    const { ticket, previous_ticket: previous } = await ticketOf(platform);
    expect(previous).toBe('ticket@@@one');
    await clock.advance(CALL_MS - 1_000);
    const answeredAt = clock.now();
    expect(await look).toMatchObject({ did: 'failed', error: { class: 'ticket', errcode: 61006 } });
    await platform.settle();

    // In the same moment: nobody waits for a back-off that the new ticket has ended.
    expect(clock.now()).toBe(answeredAt);
    expect(calls()).toBe(2);
    expect(simulator.latestMint(TOKEN.kind)?.ticket).toBe(ticket);
    expect(await ticketOf(platform)).not.toHaveProperty('refused');
    expect(logged(platform, FAILED)).toMatchObject([
      { level: 'warn', kind: TOKEN.kind, failure: { class: 'ticket', errcode: 61006 } },
    ]);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'fresh' });
    expect((await statusOf(platform, TOKEN)).problems).toEqual([]);
    await expectHealed(platform);
  });

  it('by way of another replica: it is tried a second later', async () => {
    const { simulator, app } = platform;
    await receiveDeadTicket('ticket@@@one');
    simulator.addFault({ api: MINT_API, fault: { type: 'delay', ms: CALL_MS } });
    const look = app.keeper.ensureFresh(TOKEN, 'ticket');
    while (!simulator.ledger.calls.some(({ api }) => api === MINT_API)) {
      await new Promise(setImmediate);
    }
    const ticket = simulator.issueTicket();
    await receiveDeadTicket(ticket);
    await platform.clock.advance(CALL_MS);
    await look;
    expect(await ticketOf(platform)).not.toHaveProperty('refused');
    await platform.pass(1_500);
    expect(simulator.latestMint(TOKEN.kind)?.ticket).toBe(ticket);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'fresh' });
    await expectHealed(platform);
  });

  it('says nothing against the newest when the one before it is refused first', async () => {
    const { store, clock } = platform;
    for (const ticket of ['one', 'two']) await receiveDeadTicket(ticket);
    const refuse = (ticket: string) => refuseTicket(store, COMPONENT.appid, ticket, clock.now());
    expect(await refuse('one')).toBe('newer');
    expect(await ticketOf(platform)).not.toHaveProperty('refused');
    expect(await refuse('two')).toBe('previous');
    expect(await ticketOf(platform)).toMatchObject({ refused: 'newest' });
    expect(await refuse('one')).toBe('again');
    expect(await ticketOf(platform)).toMatchObject({ refused: 'both' });
  });
});

describe('a look that joins one under way', () => {
  const mints = () =>
    platform.simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind).length;

  it.each(['refused', 'forced'] as const)(
    'keeps its reason (%s): it does not wait for a back-off that this ends',
    async (reason) => {
      const { simulator, app, store } = platform;
      await simulator.pushTicket();
      await platform.settle();
      await platform.skip(106 * MINUTE);
      simulator.addFault({ api: MINT_API, fault: { type: 'errcode', errcode: -1 } });
      expect(await app.keeper.ensureFresh(TOKEN, 'cron')).toMatchObject({ did: 'failed' });
      await platform.pass(100);
      const refusal = { seq: 1, by: { caller: 'a service' }, ownDoing: false };
      expect(await refuseValue(store, TOKEN, refusal)).toEqual({ outcome: 'accepted' });
      const under = app.keeper.ensureFresh(TOKEN, 'patrol');
      const joined = [app.keeper.ensureFresh(TOKEN, reason), app.keeper.ensureFresh(TOKEN, reason)];
      expect(await under).toMatchObject({ did: 'waited' });
      expect(await Promise.all(joined)).toMatchObject([{ did: 'refreshed' }, { did: 'refreshed' }]);
      expect(mints()).toBe(2);
    },
  );

  it('is answered by it when that one has minted', async () => {
    const { simulator, app } = platform;
    await receiveDeadTicket(simulator.issueTicket());
    const under = app.keeper.ensureFresh(TOKEN, 'patrol');
    const outcomes = await Promise.all([under, app.keeper.ensureFresh(TOKEN, 'forced')]);
    expect(outcomes).toMatchObject([{ did: 'refreshed' }, { did: 'refreshed' }]);
    await platform.pass(MINUTE);
    expect(mints()).toBe(1);
  });
});
