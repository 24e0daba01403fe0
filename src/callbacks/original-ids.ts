import type { Clock } from '../lib/clock.ts';
import { readAuthorizer } from '../store/authorizers/profile.ts';
import type { Store } from '../store/redis/store.ts';

/** Milliseconds. An original id never changes, but an account may become known at any time. */
const KEPT_MS = 10 * 60_000;
/** Accounts; beyond them it is begun anew. */
const MOST = 10_000;

/**
 * The original ids (`gh_…`) of the accounts that authorized a component, as far as they are known.
 * A signature does not cover the URL, so whoever has captured a message could send it to the URL of
 * another account; the account that is named inside tells.
 */
export interface OriginalIds {
  /** @returns undefined when nobody knows; never rejects, since no message is lost for that */
  of(component: string, authorizer: string): Promise<string | undefined>;
}

export function createOriginalIds({ store, clock }: { store: Store; clock: Clock }): OriginalIds {
  const known = new Map<string, { id: string | undefined; until: number }>();
  return {
    async of(component, authorizer) {
      const key = `${component}:${authorizer}`;
      const kept = known.get(key);
      if (kept !== undefined && clock.monotonic() < kept.until) return kept.id;
      try {
        const entry = await readAuthorizer(store, component, authorizer);
        const id = entry?.userName === '' ? undefined : entry?.userName;
        if (known.size >= MOST) known.clear();
        known.set(key, { id, until: clock.monotonic() + KEPT_MS });
        return id;
      } catch {
        return undefined;
      }
    },
  };
}
