import { dueLooks } from '../store/due-index.ts';
import type { CredentialId, CredentialKindName } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import type { Keeper } from './keeper.ts';
import type { LookOutcome, LookReason } from './look.ts';
import { configuredIds, type Subjects } from './subjects.ts';

/** Looking at one kind of everybody, at the cost of what is due and not of what exists. */

export interface SweepResult {
  /** Nothing that was due was left undone. */
  ok: boolean;
  /** What was done, in a few words. */
  summary: string;
}

/** Mints under way at once: WeChat's limits are for a whole platform. */
const AT_ONCE = 10;
/** Authorizers taken from the index at a time. */
const BATCH = 200;

export async function sweep(
  context: { subjects: Subjects; store: Store; keeper: Keeper },
  kind: CredentialKindName,
  reason: LookReason,
): Promise<SweepResult> {
  const counts = new Map<LookOutcome['did'], number>();
  const look = async (id: CredentialId) => {
    const { did } = await context.keeper.look(id, reason);
    counts.set(did, (counts.get(did) ?? 0) + 1);
  };
  if (kind === 'authorizer_access_token') await sweepAuthorizers(context, look);
  else {
    for (const id of configuredIds(context.subjects)) if (id.kind === kind) await look(id);
  }
  const undone = ['failed', 'waited', 'blocked'] as const;
  const summary = [...counts].map(([did, count]) => `${count} ${did.replace('_', ' ')}`).join(', ');
  return { ok: !undone.some((did) => counts.has(did)), summary: summary || 'nothing due' };
}

async function sweepAuthorizers(
  { subjects, store }: { subjects: Subjects; store: Store },
  look: (id: CredentialId) => Promise<void>,
): Promise<void> {
  for (const { appid } of subjects.components) {
    const seen = new Set<string>();
    for (;;) {
      const due = await dueLooks(store, 'authorizer_access_token', appid, store.time.now(), BATCH);
      const fresh = due.filter(({ subject }) => !seen.has(subject));
      // A look that could not move its entry on must not be repeated for ever.
      if (fresh.length === 0) break;
      for (const { subject } of fresh) seen.add(subject);
      await lookAtMany(fresh, look);
      if (due.length < BATCH) break;
    }
  }
}

/** A few at a time. */
export async function lookAtMany(
  ids: readonly CredentialId[],
  look: (id: CredentialId) => Promise<unknown>,
): Promise<void> {
  const queue = ids.values();
  const worker = async () => {
    for (const id of queue) await look(id);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
