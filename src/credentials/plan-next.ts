import { forgetCheck, planCheck } from '../store/authorizers/due-queue.ts';
import type { RefreshOutcome, RefreshContext, Target } from './refresh-types.ts';

/**
 * Notes in the index when an authorizer has to be looked at next. Lost, it costs one look for nothing
 * or a later one, never a value: what is asked for is judged by its record.
 */

/** Milliseconds until an authorizer is looked at again that lacks something no call can bring. */
const BLOCKED_MS = 60_000;

/** @throws KeeperError `store_unavailable` */
export async function planNext(
  { store }: Pick<RefreshContext, 'store'>,
  { id, kind }: Target,
  outcome: RefreshOutcome,
): Promise<void> {
  if (kind.of !== 'authorizer') return;
  if (outcome.did !== 'blocked') {
    const at = 'dueAt' in outcome ? outcome.dueAt : outcome.until;
    await planCheck(store, id, at);
    return;
  }
  const over = outcome.error.code === 'authorizer_revoked' || outcome.error.code === 'not_found';
  if (over) await forgetCheck(store, id);
  else await planCheck(store, id, store.time.now() + BLOCKED_MS);
}
