import { giveLeaseBack, takeLease } from '../../store/redis/lease.ts';
import {
  readReconciliation,
  requestReconciliation,
  type ReconcileCause,
  type ReconcileState,
} from '../../store/authorizers/reconciliation.ts';
import type { Store } from '../../store/redis/store.ts';
import { KeeperError } from '../../lib/errors.ts';
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
  /** Does what is due, of all components; for patrols. Never rejects. */
  patrol(): Promise<void>;
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
  components: readonly string[];
  /** One round per component at a time in this process; the lease serves the others. */
  rounds: Map<string, Promise<void>>;
  /** Components for which a run was asked for while a round was under way. */
  again: Set<string>;
  /** Cancels the planned next round of a component. */
  planned: Map<string, () => void>;
  stopping: boolean;
}

/** Milliseconds of pause in which the work stays with the same replica. */
const SHORT_PAUSE_MS = 1_000;

export function createReconciler(
  context: ReconcileContext & { components: readonly string[] },
): Reconciler {
  const state: ReconcilerState = {
    ...context,
    memoryFirst: createMemoryFirst(context),
    known: new Set(),
    rounds: new Map(),
    again: new Set(),
    planned: new Map(),
    stopping: false,
  };
  const { store } = context;
  return {
    async patrol() {
      await Promise.all(state.components.map((component) => run(state, component)));
    },
    run: (component) => run(state, component),
    async request(component) {
      await requestReconciliation(store, component);
      if (state.rounds.has(component)) state.again.add(component);
      else void run(state, component);
    },
    onRedisBack: () => state.memoryFirst.begin(),
    progress: (component) => readProgress(store, component),
    idle: () => idle(state),
    async stop() {
      state.stopping = true;
      for (const cancel of state.planned.values()) cancel();
      await idle(state);
    },
  };
}

/** For people to look at. @throws KeeperError `store_unavailable` */
export async function readProgress(store: Store, component: string): Promise<ReconcileProgress> {
  return describe(await readReconciliation(store, component));
}

function run(state: ReconcilerState, component: string): Promise<void> {
  if (state.stopping) return Promise.resolve();
  const running = state.rounds.get(component);
  if (running !== undefined) return running;
  const round = rounds(state, component).finally(() => state.rounds.delete(component));
  state.rounds.set(component, round);
  return round;
}

async function rounds(state: ReconcilerState, component: string): Promise<void> {
  do {
    state.again.delete(component);
    try {
      await round(state, component);
    } catch (error) {
      report(state, component, error);
      return;
    }
  } while (state.again.has(component) && !state.stopping);
}

/** Steps as long as there is something to do at once. */
async function round(state: ReconcilerState, component: string): Promise<void> {
  const { store, replica } = state;
  const lease = store.keys.lease('reconcile', component);
  let ours = false;
  try {
    for (;;) {
      const now = await readReconciliation(store, component);
      if (now.run !== undefined) state.known.add(component);
      else if (state.known.delete(component)) state.memoryFirst.begin();
      const next = nextStep(now, component);
      if (next.do === 'nothing') {
        // Whoever waits for a moment has planned it; after a death it is the patrol that comes.
        if (ours && next.at !== undefined) plan(state, component, next.at - now.readAt);
        return;
      }
      if (state.stopping) return;
      if (!ours) {
        const wait = await state.memoryFirst.waitMs();
        if (wait > 0) {
          plan(state, component, wait);
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
      plan(state, component, pause);
      if (pause <= SHORT_PAUSE_MS) ours = false;
      return;
    }
  } finally {
    if (ours) await giveLeaseBack(store, lease, replica);
  }
}

function plan(state: ReconcilerState, component: string, delayMs: number): void {
  state.planned.get(component)?.();
  if (state.stopping) return;
  const again = () => void run(state, component);
  state.planned.set(component, state.clock.setTimer(delayMs, again));
}

/** That Redis is away is said where the connection is watched. */
function report({ log }: ReconcilerState, component: string, error: unknown): void {
  const store = error instanceof KeeperError && error.code === 'store_unavailable';
  if (store || error instanceof LeaseLostError) {
    log.debug('the list of authorizers is not read on here', { component, error });
  } else log.error('authorizers could not be compared with the list', { component, error });
}

async function idle({ rounds }: ReconcilerState): Promise<void> {
  while (rounds.size > 0) await Promise.allSettled(rounds.values());
}

function describe({ run, requestedAt, readAt }: ReconcileState): ReconcileProgress {
  const asked = requestedAt !== undefined && requestedAt > (run?.startedAt ?? 0);
  return {
    state: stateOf(run, readAt),
    cause: run?.cause ?? null,
    started_at: iso(run?.begunAt),
    offset: Math.min(run?.offset ?? 0, run?.total ?? 0),
    total: run?.total ?? null,
    restored: run?.restored ?? 0,
    missing: run?.missing ?? 0,
    calls: run?.calls ?? 0,
    last_completed_at: iso(run?.completedAt),
    requested_at: asked ? iso(requestedAt) : null,
    last_error: run?.lastError ?? null,
  };
}

function stateOf(run: ReconcileState['run'], now: number): ReconcileProgress['state'] {
  if (run === undefined) return 'never';
  if (run.phase === undefined) return run.outcome ?? 'never';
  return run.nextAt > now && run.lastError !== undefined ? 'waiting' : 'running';
}

/** Null also for what is no moment: somebody may have written it by hand. */
function iso(ms = NaN): string | null {
  const date = new Date(ms);
  return Number.isNaN(date.valueOf()) ? null : date.toISOString();
}
