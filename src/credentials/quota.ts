import { authorizerToken } from '../store/authorizers/authorization.ts';
import { planCheck } from '../store/authorizers/due-queue.ts';
import { endQuotaWait } from '../store/credentials/mint.ts';
import { authorizersAfter } from '../store/authorizers/profile.ts';
import type { Store } from '../store/redis/store.ts';
import { configuredIds, type Catalog } from './catalog.ts';
import { forEachAtOnce } from './refresh-due.ts';

/** Authorizers read, and records asked, at a time. */
const SCAN = 500;
const AT_ONCE = 50;

/**
 * The quotas of a component or an account were cleared: whatever waits for that is tried by the next who
 * asks, and in the next maintenance round.
 * @throws KeeperError `store_unavailable`
 */
export async function noteQuotaCleared(
  store: Store,
  subjects: Catalog,
  appid: string,
): Promise<void> {
  for (const id of configuredIds(subjects)) {
    if (id.subject === appid) await endQuotaWait(store, id);
  }
  if (!subjects.components.some((one) => one.appid === appid)) return;
  // The tokens of its authorizers come out of the same quota.
  for (let after: string | undefined = ''; after !== undefined;) {
    const authorizers = await authorizersAfter(store, appid, after, SCAN);
    await forEachAtOnce(AT_ONCE, authorizers, async (authorizer) => {
      const id = authorizerToken(appid, authorizer);
      if (await endQuotaWait(store, id)) await planCheck(store, id, store.time.now());
    });
    after = authorizers.at(-1);
  }
}
