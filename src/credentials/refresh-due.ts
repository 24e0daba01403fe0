import type { Clock } from '../lib/clock.ts';
import { claimDue, type RateLimit } from '../store/authorizers/due-queue.ts';
import type { CredentialId, CredentialKindName } from '../store/redis/keys.ts';
import type { Store } from '../store/redis/store.ts';
import type { RefreshOutcome, RefreshTrigger } from './refresh-types.ts';
import { configuredIds, type Catalog } from './catalog.ts';

/** Looking at one kind of everybody, at the cost of what is due and not of what exists. */

export interface RefreshDueResult {
  /** Nothing that was due was left undone. */
  ok: boolean;
  /** What was done, in a few words. */
  summary: string;
}

/** Looks at one credential; never rejects. */
type Ensure = (id: CredentialId, reason: RefreshTrigger) => Promise<RefreshOutcome>;

interface RefreshDueContext {
  subjects: Catalog;
  store: Store;
  clock: Clock;
  /** Of authorizers; the other kinds are few. */
  rateLimit: RateLimit;
}

export interface DueRefresher {
  /** @throws KeeperError `store_unavailable` */
  refreshDue(kind: CredentialKindName, reason: RefreshTrigger): Promise<RefreshDueResult>;
  /** Resolves when no authorizers are being refreshed because they are due. */
  idle(): Promise<unknown>;
  /** No further looks by itself. */
  stop(): void;
}

/** Mints under way at once for one platform: WeChat's limits are for each. */
const AT_ONCE = 10;
/** Authorizers taken from the index at a time: no more than are looked at before a claim ends. */
const BATCH = 20;

/** Works off the due authorizers, one run at a time, and goes on by itself for as long as more is due. */
export function createDueRefresher(context: RefreshDueContext, ensure: Ensure): DueRefresher {
  let running: Promise<RefreshDueResult> | undefined;
  let stopped = false;
  let cancel: () => void = () => undefined;

  async function refreshAuthorizers(kind: CredentialKindName, reason: RefreshTrigger) {
    cancel();
    const { result, moreInMs } = await refreshKind(context, ensure, kind, reason, () => stopped);
    if (moreInMs !== undefined && !stopped) {
      cancel = context.clock.setTimer(moreInMs, () => void again(kind, reason));
    }
    return result;
  }
  function begin(kind: CredentialKindName, reason: RefreshTrigger) {
    running ??= refreshAuthorizers(kind, reason).finally(() => (running = undefined));
    return running;
  }
  // Redis may be away: the next maintenance round begins again.
  const again = (kind: CredentialKindName, reason: RefreshTrigger) =>
    begin(kind, reason).catch(() => undefined);
  return {
    async refreshDue(kind, reason) {
      if (kind === 'authorizer_access_token') return begin(kind, reason);
      return (await refreshKind(context, ensure, kind, reason)).result;
    },
    idle: async () => running?.catch(() => undefined),
    stop() {
      stopped = true;
      cancel();
    },
  };
}

async function refreshKind(
  context: RefreshDueContext,
  ensure: Ensure,
  kind: CredentialKindName,
  reason: RefreshTrigger,
  isStopped = () => false,
): Promise<{ result: RefreshDueResult; moreInMs: number | undefined }> {
  const counts = new Map<RefreshOutcome['did'], number>();
  const count = async (id: CredentialId) => {
    const { did } = await ensure(id, reason);
    counts.set(did, (counts.get(did) ?? 0) + 1);
  };
  let moreInMs: number | undefined;
  if (kind === 'authorizer_access_token') moreInMs = await ensureDue(context, count, isStopped);
  else {
    for (const id of configuredIds(context.subjects)) if (id.kind === kind) await count(id);
  }
  const undone = ['failed', 'waited', 'blocked'] as const;
  const summary = [...counts].map(([did, times]) => `${times} ${did.replace('_', ' ')}`).join(', ');
  const ok = !undone.some((did) => counts.has(did));
  return { result: { ok, summary: summary || 'nothing due' }, moreInMs };
}

/** Returns when to go on, because more is due than may be asked for at once. */
async function ensureDue(
  { subjects, store, rateLimit }: RefreshDueContext,
  ensure: (id: CredentialId) => Promise<void>,
  isStopped: () => boolean,
): Promise<number | undefined> {
  const refreshComponent = async (component: string) => {
    // What a process that stops had claimed would be nobody's for a while.
    while (!isStopped()) {
      const claim = await claimDue(store, 'authorizer_access_token', component, BATCH, rateLimit);
      await ensureMany(claim.ids, ensure);
      if (claim.moreInMs === undefined || claim.ids.length < BATCH)
        return claim.moreInMs ?? Infinity;
    }
    return Infinity;
  };
  // Together: 100,000 of one platform must not keep those of another waiting.
  const waits = await Promise.all(subjects.components.map(({ appid }) => refreshComponent(appid)));
  const soonest = Math.min(...waits);
  return Number.isFinite(soonest) ? soonest : undefined;
}

/** A few at a time. */
export function ensureMany(
  ids: readonly CredentialId[],
  ensure: (id: CredentialId) => Promise<unknown>,
): Promise<void> {
  return forEachAtOnce(AT_ONCE, ids, ensure);
}

/** Works through the items, at most `atOnce` at the same time. Rejects with the first rejection. */
export async function forEachAtOnce<T>(
  atOnce: number,
  items: readonly T[],
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
