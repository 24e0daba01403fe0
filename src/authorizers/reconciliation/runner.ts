import { giveLeaseBack, takeLease } from '../../store/redis/lease.ts';
import {
  readReconciliation,
  requestReconciliation,
  type ReconcileCause,
  type ReconcileState,
} from '../../store/authorizers/reconciliation.ts';
import type { Store } from '../../store/redis/store.ts';
import { KeeperError } from '../../lib/errors.ts';
import { isoOrNull } from '../../lib/time-format.ts';
import { KeyedWorker } from '../../lib/worker.ts';
import { createMemoryFirst, type MemoryFirst } from './memory-first.ts';
import { nextStep } from './rules.ts';
import { LeaseLostError, type ReconcileContext } from './step.ts';
import { LEASE_MS, takeStep } from './steps.ts';

/**
 * Compares whom we know with WeChat's own list of authorizers: daily, after Redis may have lost anything,
 * and when somebody asks. It brings back refresh tokens and authorizations that we missed, and finds
 * out who has ended theirs without our hearing of it.
 */
export interface Reconciler {
  /** Does what is due, of all components; for maintenance rounds. Never rejects. */
  runDue(): Promise<void>;
  /** Does what is due of one component, up to the next pause. Never rejects. */
  run(component: string): Promise<void>;
  /** Somebody wants a run now. @throws KeeperError `store_unavailable` when that could not be noted */
  request(component: string): Promise<void>;
  /** Redis is back, and may have lost anything: memory comes first. */
  onRedisBack(): void;
  /** For people to look at. @throws KeeperError `store_unavailable` */
  progress(component: string): Promise<ReconcileProgress>;
  /** Resolves when nothing is being done; waiting timers do not count. */
  idle(): Promise<void>;
  /** No further steps; resolves when the one in flight is done. Another replica goes on from there. */
  stop(): Promise<void>;
}

/** As the status and the internal API show it; times are ISO 8601. */
export interface ReconcileProgress {
  /** `waiting`: under way, and waits for what `last_error` says. */
  state: 'never' | 'running' | 'waiting' | 'done' | 'inconsistent';
  cause: ReconcileCause | null;
  started_at: string | null;
  /** Accounts of the list that were asked for so far. */
  offset: number;
  total: number | null;
  restored: number;
  missing: number;
  /** Pages of the list and questions about single accounts. */
  calls: number;
  last_completed_at: string | null;
  /** Somebody asked for another run, which has not begun. */
  requested_at: string | null;
  last_error: string | null;
}

interface ReconcilerState extends ReconcileContext {
  memoryFirst: MemoryFirst;
  /** Components of which a run was found in Redis: when there is none any more, Redis was emptied. */
  known: Set<string>;
  /** By component; the lease serves the other replicas. */
  worker: KeyedWorker;
}

/** Milliseconds of pause in which the work stays with the same replica. */
const SHORT_PAUSE_MS = 1_000;

export function createReconciler(
  context: ReconcileContext & { components: readonly string[] },
): Reconciler {
  const { store, clock, components } = context;
  const worker = new KeyedWorker(clock, {
    run: (component) => round(state, component),
    onFailure: (component, error) => report(context, component, error),
  });
  const state: ReconcilerState = {
    ...context,
    memoryFirst: createMemoryFirst(context),
    known: new Set(),
    worker,
  };
  return {
    async runDue() {
      await Promise.all(components.map((component) => worker.request(component)));
    },
    run: (component) => worker.request(component),
    async request(component) {
      await requestReconciliation(store, component);
      void worker.request(component, true);
    },
    onRedisBack: () => state.memoryFirst.begin(),
    progress: (component) => readProgress(store, component),
    idle: () => worker.idle(),
    stop: () => worker.stop(),
  };
}

/** For people to look at. @throws KeeperError `store_unavailable` */
export async function readProgress(store: Store, component: string): Promise<ReconcileProgress> {
  return describe(await readReconciliation(store, component));
}

/** Steps as long as there is something to do at once. */
async function round(state: ReconcilerState, component: string): Promise<void> {
  const { store, replica, worker } = state;
  const lease = store.keys.lease('reconcile', component);
  let ours = false;
  try {
    for (;;) {
      const now = await readReconciliation(store, component);
      if (now.run !== undefined) state.known.add(component);
      else if (state.known.delete(component)) state.memoryFirst.begin();
      const next = nextStep(now, component);
      if (next.do === 'nothing') {
        // Whoever waits for a moment has planned it; after a death it is the maintenance round that comes.
        if (ours && next.at !== undefined) worker.runAt(component, next.at - now.readAt);
        return;
      }
      if (worker.stopping) return;
      if (!ours) {
        const wait = await state.memoryFirst.waitMs();
        if (wait > 0) {
          worker.runAt(component, wait);
          return;
        }
        ours = await takeLease(store, lease, replica, LEASE_MS);
        if (!ours) return;
        // Read again: another replica may have done it before the lease was ours.
        continue;
      }
      const pause = await takeStep(state, component, now, next);
      if (pause === undefined) return;
      if (pause === 0) continue;
      worker.runAt(component, pause);
      if (pause <= SHORT_PAUSE_MS) ours = false;
      return;
    }
  } finally {
    if (ours) await giveLeaseBack(store, lease, replica);
  }
}

/** That Redis is away is said where the connection is watched. */
function report({ log }: ReconcileContext, component: string, error: unknown): void {
  const store = error instanceof KeeperError && error.code === 'store_unavailable';
  if (store || error instanceof LeaseLostError) {
    log.debug('the list of authorizers is not read on here', { component, error });
  } else log.error('authorizers could not be compared with the list', { component, error });
}

function describe({ run, requestedAt, readAt }: ReconcileState): ReconcileProgress {
  const asked = requestedAt !== undefined && requestedAt > (run?.startedAt ?? 0);
  return {
    state: stateOf(run, readAt),
    cause: run?.cause ?? null,
    started_at: isoOrNull(run?.begunAt),
    offset: Math.min(run?.offset ?? 0, run?.total ?? 0),
    total: run?.total ?? null,
    restored: run?.restored ?? 0,
    missing: run?.missing ?? 0,
    calls: run?.calls ?? 0,
    last_completed_at: isoOrNull(run?.completedAt),
    requested_at: asked ? isoOrNull(requestedAt) : null,
    last_error: run?.lastError ?? null,
  };
}

function stateOf(run: ReconcileState['run'], now: number): ReconcileProgress['state'] {
  if (run === undefined) return 'never';
  if (run.phase === undefined) return run.outcome ?? 'never';
  return run.nextAt > now && run.lastError !== undefined ? 'waiting' : 'running';
}
