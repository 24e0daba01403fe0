import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import type { Soak } from './soak.ts';
import { COMPONENT } from './station.ts';

/** Accounts that authorize the platform while all else goes on. */

/** Accounts there are; after the last the first one authorizes anew. */
const ACCOUNTS = 12;
/** Minutes after its authorization in which an account may still be without a token: two rounds of retries. */
const GRACE_MS = 20 * 60_000;

export interface Merchants {
  /** The next one authorizes, and WeChat pushes the event to whoever is up. */
  authorize(): Promise<void>;
  /** @returns how many authorized; what is lost of one is a violation */
  judge(): Promise<number>;
}

export function createMerchants(soak: Soak): Merchants {
  const { station, passing, judge, up, ask } = soak;
  const { simulator, redis, keys, clock } = station;
  const authorizedAt = new Map<string, number>();
  let count = 0;
  return {
    async authorize() {
      if (up().length === 0) return;
      const authorizer = `wx${(count % ACCOUNTS).toString(16).padStart(16, '0')}`;
      count += 1;
      const { code } = simulator.grant(COMPONENT.appid, authorizer);
      const pushed = simulator.pushAuthorized(COMPONENT.appid, authorizer, code);
      // Whoever has it may wait for the clock.
      while ((await passing.now(pushed.then(() => true))) !== true) await soak.go(1, 1);
      // Nobody at WeChat repeats it here, so of a refused one nothing can be expected.
      if ((await pushed).accepted) authorizedAt.set(authorizer, clock.now());
      else authorizedAt.delete(authorizer);
    },
    async judge() {
      for (const [authorizer, at] of authorizedAt) {
        if (clock.now() - at < GRACE_MS) continue;
        const id = authorizerToken(COMPONENT.appid, authorizer);
        const record = await redis.hgetall(keys.record(id));
        const known = simulator.refreshTokenOf(COMPONENT.appid, authorizer);
        if (record.refresh_token !== known) {
          judge.violate(`${authorizer} has lost the refresh token that works`);
        }
        for (const replica of up()) {
          const answer = await ask(
            replica,
            `/v1/credentials/${id.kind}/${COMPONENT.appid}/${authorizer}`,
          );
          const isLive = simulator.isLive(id.kind, answer?.value ?? '');
          if (answer?.status === 200 && isLive) continue;
          judge.violate(
            `${authorizer} has no live token at ${replica.name}: ${answer?.status ?? 'no answer'}`,
          );
        }
      }
      return authorizedAt.size;
    },
  };
}
