import { setTimeout as sleep } from 'node:timers/promises';
import type { PreparedPush } from './prepared-pushes.ts';
import { checkPush } from './rounds.ts';
import type { Contestant } from './rounds.ts';
import type { Stage } from './stage.ts';

const MINTED_WITHIN_MS = 15_000;

/**
 * Gives wxkeeper a ticket that the pretended WeChat has issued, and waits for the token that it mints with
 * it. Without that, each of the invented tickets that follow would be a reason to try again.
 * @param real a push of a ticket that `simulator.issueTicket` has returned
 */
export async function makeReady(
  { redis, simulator }: Stage,
  contestant: Contestant,
  real: PreparedPush,
): Promise<void> {
  await checkPush(contestant, real, redis);
  const giveUpAt = performance.now() + MINTED_WITHIN_MS;
  while (simulator.latestMint('component_access_token') === undefined) {
    if (performance.now() > giveUpAt) throw new Error('wxkeeper minted no component_access_token');
    await sleep(50);
  }
}
