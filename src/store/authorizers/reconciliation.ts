import * as z from 'zod';
import { onDisplayKey, onRedis, parseDisplay } from '../redis/connection.ts';
import { loadRecordScript, runRecordScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';

/**
 * How far the comparison of a component's authorizers with WeChat's list has come. It is written down
 * after every step, so that any replica can go on where another one died.
 * Times are epoch ms by the store's clock.
 */

/** Why a run began. */
export const RECONCILE_CAUSES = ['first', 'redis', 'daily', 'request'] as const;
export type ReconcileCause = (typeof RECONCILE_CAUSES)[number];

/** What is to be done next; none when no run is under way. */
export const RECONCILE_PHASES = ['list', 'check', 'missing'] as const;
export type ReconcilePhase = (typeof RECONCILE_PHASES)[number];

export interface ReconcileRun {
  phase: ReconcilePhase | undefined;
  cause: ReconcileCause;
  /** When it began, and when its last reading of the list from the start on did. */
  begunAt: number;
  startedAt: number;
  /** Redis's replication id at that time. */
  epoch: string;
  /** Repetitions because the list contradicted itself. */
  repeats: number;
  offset: number;
  /** What WeChat says how many there are; undefined before the first page. */
  total: number | undefined;
  /** Why this reading of the list cannot be relied on, in words. */
  doubt: string | undefined;
  restored: number;
  /** Accounts that WeChat confirmed to have ended their authorization. */
  missing: number;
  /** Accounts that the list lacked and that have authorized all the same. */
  wronglyMissing: number;
  /** Entries that could not be looked at. */
  failed: number;
  calls: number;
  /** Appid after which to go on with looking for missing ones. */
  cursor: string;
  /** The same for those whose profile was never fetched; undefined when that is done. */
  profileCursor: string | undefined;
  /** Not before this moment; 0 is at once. */
  nextAt: number;
  /** Failures in a row. */
  failures: number;
  /** What it waits for or failed with, in words. */
  lastError: string | undefined;
  /** How the last run ended; that of a run under way is still that of the one before. */
  outcome: 'done' | 'inconsistent' | undefined;
  /** Of the last complete and consistent run. */
  completedAt: number | undefined;
  completedEpoch: string | undefined;
}

export interface ReconcileState {
  run: ReconcileRun | undefined;
  /** When somebody last asked for a run. */
  requestedAt: number | undefined;
  readAt: number;
  /** Redis's replication id: it changes whenever the last writes may be gone. */
  epoch: string;
}

/** Milliseconds for which those are remembered that a run has seen: longer than any run takes. */
const SEEN_MS = 2 * 86_400_000;

const readScript = loadRecordScript('authorizers/read-reconciliation');
const saveScript = loadRecordScript('authorizers/save-reconciliation');

const count = z.number().nonnegative();
const text = z.string().optional();
const storedRun: z.ZodType<ReconcileRun> = z.object({
  phase: z.enum(RECONCILE_PHASES).optional(),
  cause: z.enum(RECONCILE_CAUSES),
  begunAt: count,
  startedAt: count,
  epoch: z.string(),
  repeats: count,
  offset: count,
  total: count.optional(),
  doubt: text,
  restored: count,
  missing: count,
  wronglyMissing: count,
  failed: count,
  calls: count,
  cursor: z.string(),
  profileCursor: text,
  nextAt: count,
  failures: count,
  lastError: text,
  outcome: z.enum(['done', 'inconsistent']).optional(),
  completedAt: count.optional(),
  completedEpoch: text,
}) as unknown as z.ZodType<ReconcileRun>;

/** @throws KeeperError `store_unavailable` */
export async function readReconciliation(store: Store, component: string): Promise<ReconcileState> {
  const key = store.keys.reconciliation(component);
  const answer = await runRecordScript(store, readScript, [key], {});
  const [run, requestedAt, readAt, epoch] = answer as [
    string | null,
    string | null,
    number,
    string,
  ];
  store.time.learn(readAt);
  return {
    // Spoiled by hand, it is as if there had never been a run.
    run: run === null ? undefined : storedRun.safeParse(parseDisplay(run)).data,
    requestedAt: requestedAt === null ? undefined : Number(requestedAt),
    readAt,
    epoch,
  };
}

/**
 * Writes a step down and keeps the lease for `leaseMs` more. False when the lease is somebody else's.
 * @throws KeeperError `store_unavailable`
 */
export async function saveReconciliation(
  store: Store,
  component: string,
  step: {
    run: ReconcileRun;
    owner: string;
    leaseMs: number;
    /** Appids of the page that was read. */
    seen?: readonly string[];
    /** A reading of the list begins: nobody was seen yet. */
    fresh?: boolean;
  },
): Promise<boolean> {
  const { keys } = store;
  const touched = [
    keys.reconciliation(component),
    keys.reconciliationSeen(component),
    keys.lease('reconcile', component),
  ];
  const saved = await runRecordScript(store, saveScript, touched, {
    run: JSON.stringify(step.run),
    owner: step.owner,
    lease_ms: step.leaseMs,
    seen: step.seen,
    seen_ms: SEEN_MS,
    fresh: step.fresh === true ? true : undefined,
  });
  return saved === 1;
}

/** Notes that somebody wants a run. @throws KeeperError `store_unavailable` */
export async function requestReconciliation(store: Store, component: string): Promise<void> {
  const key = store.keys.reconciliation(component);
  const { readAt } = await readReconciliation(store, component);
  await onRedis(() => store.redis.hset(key, 'requested_at', readAt));
}

/** How many different accounts a run has seen. @throws KeeperError `store_unavailable` */
export async function countSeen({ keys, redis }: Store, component: string): Promise<number> {
  return onDisplayKey(() => redis.scard(keys.reconciliationSeen(component)), 0);
}

/** Those of `appids` that a run has not seen. @throws KeeperError `store_unavailable` */
export async function unseenOf(
  { keys, redis }: Store,
  component: string,
  appids: readonly string[],
): Promise<string[]> {
  if (appids.length === 0) return [];
  const key = keys.reconciliationSeen(component);
  const seen = await onDisplayKey(() => redis.smismember(key, ...appids), []);
  return appids.filter((_, index) => seen[index] !== 1);
}

/** Those of `appids` that are not in the due queue. @throws KeeperError `store_unavailable` */
export async function unplannedOf(
  { keys, redis }: Store,
  component: string,
  appids: readonly string[],
): Promise<Set<string>> {
  if (appids.length === 0) return new Set();
  const key = keys.due('authorizer_access_token', component);
  const scores = await onDisplayKey(() => redis.zmscore(key, ...appids), []);
  return new Set(appids.filter((_, index) => scores[index] === null));
}
