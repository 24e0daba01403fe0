import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COMPONENT, createStation, MINUTE, type Station } from '../support/station.ts';

const token = { kind: 'component_access_token', subject: COMPONENT.appid } as const;
const code = { kind: 'pre_auth_code', subject: COMPONENT.appid } as const;

describe('from the first ticket to credentials that others read', () => {
  let station: Station;
  beforeEach(async () => {
    station = await createStation();
  });
  afterEach(() => station.close());

  it('answers success and has both credentials within the same moment', async () => {
    const { simulator, redis, keys, internal } = station;
    const push = await simulator.pushTicket();
    await station.settle();
    expect(push).toMatchObject({ status: 200, answer: 'success', accepted: true });
    expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toMatch(/^ticket@@@/);
    const minted = simulator.latestMint('component_access_token')?.value;
    expect(await redis.get(keys.mirror(token))).toBe(minted);
    expect(await redis.get(keys.mirror(code))).toBe(simulator.latestMint('pre_auth_code')?.value);
    const answer = await internal(`/v1/credentials/component_access_token/${COMPONENT.appid}`);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      value: minted,
      seq: 1,
      state: 'fresh',
      expires_in: 7200,
    });
  });

  it('refreshes the token at the first tick inside its window, and not before', async () => {
    const { simulator } = station;
    await simulator.pushTicket();
    await station.settle();
    await station.pass(100 * MINUTE);
    const mints = () =>
      simulator.ledger.mints.filter((mint) => mint.kind === 'component_access_token');
    expect(mints()).toHaveLength(1);
    await station.pass(10 * MINUTE);
    expect(mints()).toHaveLength(2);
  });
});
