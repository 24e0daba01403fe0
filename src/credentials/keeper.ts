import { KeeperError } from '../lib/errors.ts';
import { readRecord } from '../store/credentials/record.ts';
import type { CredentialId, CredentialKindName } from '../store/redis/keys.ts';
import type { RateLimit } from '../store/authorizers/due-queue.ts';
import { planNext } from './plan-next.ts';
import type { CredentialKind } from './kinds/kind.ts';
import type {
  Attempt,
  RefreshOutcome,
  RefreshTrigger,
  RefreshContext,
  Target,
} from './refresh-types.ts';
import { refreshIfDue } from './refresh.ts';
import { noteInvalid } from './note-invalid.ts';
import { configuredIds, dependentsOf, kindOf, targetOf, type Catalog } from './catalog.ts';
import { createCopyVerifier } from './verify-local-copies.ts';
import { createDueRefresher, type RefreshDueResult } from './refresh-due.ts';

/**
 * Keeps every credential fresh. Whoever has a reason (a cron tick, a new ticket, a reader, a retry)
 * asks the keeper to look; it refreshes what is due, once, however many ask at the same moment.
 */
export interface Keeper {
  /** Looks at one credential and refreshes it if it is due. Never rejects. */
  ensureFresh(id: CredentialId, reason: RefreshTrigger): Promise<RefreshOutcome>;
  /** Looks at all credentials of one component or account, parents first. */
  ensureAllOf(appid: string, reason: RefreshTrigger): Promise<void>;
  /** Looks at one kind of all subjects; of authorizers, only at those that are due. */
  refreshDue(kind: CredentialKindName, reason: RefreshTrigger): Promise<RefreshDueResult>;
  /** Looks at everything that the configuration names. */
  ensureConfigured(): Promise<void>;
  /** Looks at the authorizers that are due, and at some of the others. May take long. */
  ensureAuthorizers(): Promise<void>;
  /** Redis may have lost something: the next maintenance round verifies all local copies of authorizers. */
  onRedisBack(): void;
  /** What it remembers of authorizers is still being compared with Redis since then. */
  isRestoring(): boolean;
  /** The kind of this id, when we keep it for this subject. */
  kindOf(id: CredentialId): CredentialKind | undefined;
  /** Resolves when nothing is being looked at. Waiting timers do not count. */
  idle(): Promise<void>;
  /** No further looks; resolves when the mints and commits in flight are done. */
  stop(): Promise<void>;
}

/** Milliseconds, with jitter: a silent Redis is asked again soon, one that refuses later. */
const STORE_RETRY_MS = 2_000;
const COMPLAINT_RETRY_MS = 15_000;
/** Milliseconds until a value is looked at again whose parent is just being minted. */
const PARENT_WAIT_MS = 500;
const MAX_JITTER_MS = 1_000;
/** Milliseconds between two wishes of a person for which WeChat is called whatever it said before. */
const FORCED_EVERY_MS = 10_000;
/** Milliseconds after a look that found nothing to do in which a ticket is no reason for another one. */
const IDLE_MS = 1_000;
/** Milliseconds: too soon for a maintenance round. */
const SOON_MS = 2_000;

interface KeeperState extends Omit<KeeperOptions, 'rateLimit'> {
  /** One look per credential at a time in this process; the lock in Redis serves the others. */
  inFlight: Map<string, Promise<RefreshOutcome>>;
  /** By credential and reason: looks that follow one under way, which came too early for them. */
  following: Map<string, Promise<RefreshOutcome>>;
  /** Cancels the planned next look of a credential. */
  planned: Map<string, () => void>;
  /** When a person's wish last got past a back-off, by credential, monotonic ms. */
  forcedAt: Map<string, number>;
  /** When a ticket last was the reason of a look that found nothing to do, unless there was something since. */
  nothingDueAt: Map<string, number>;
  stopping: boolean;
  /** By kind: the last trouble with Redis that was logged. */
  storeProblems: Map<string, string | undefined>;
}

export interface KeeperOptions extends RefreshContext {
  subjects: Catalog;
  rateLimit: RateLimit;
  /** Called after each look. */
  onOutcome?: (kind: CredentialKindName, reason: RefreshTrigger, outcome: RefreshOutcome) => void;
}

export function createKeeper(context: KeeperOptions): Keeper {
  const state: KeeperState = {
    ...context,
    inFlight: new Map(),
    following: new Map(),
    planned: new Map(),
    forcedAt: new Map(),
    nothingDueAt: new Map(),
    stopping: false,
    storeProblems: new Map(),
  };
  const { subjects, memory } = context;
  const dueRefresher = createDueRefresher(context, (id, reason) => ensureFresh(state, id, reason));
  const verifier = createCopyVerifier(context.store, memory, (id) =>
    ensureFresh(state, id, 'rota'),
  );
  const keeper: Keeper = {
    ensureFresh: (id, reason) => ensureFresh(state, id, reason),
    async ensureAllOf(appid, reason) {
      for (const id of configuredIds(subjects)) {
        if (id.subject !== appid || isIdle(state, id, reason)) continue;
        const { did } = await ensureFresh(state, id, reason);
        if (did === 'nothing_due') state.nothingDueAt.set(keyOf(id), state.clock.monotonic());
      }
    },
    refreshDue: (kind, reason) => dueRefresher.refreshDue(kind, reason),
    async ensureConfigured() {
      for (const id of configuredIds(subjects)) await ensureFresh(state, id, 'patrol');
    },
    async ensureAuthorizers() {
      await verifier.next();
      await dueRefresher.refreshDue('authorizer_access_token', 'patrol');
    },
    onRedisBack: () => verifier.restart(),
    isRestoring: () => verifier.isRestoring(),
    kindOf: (id) => kindOf(subjects, id),
    async idle() {
      await dueRefresher.idle();
      await idle(state);
    },
    async stop() {
      state.stopping = true;
      dueRefresher.stop();
      for (const cancel of state.planned.values()) cancel();
      state.planned.clear();
      await keeper.idle();
    },
  };
  return keeper;
}

function keyOf({ kind, subject }: CredentialId): string {
  return `${kind}:${subject}`;
}

/**
 * A ticket matters to what lacks something, and of what did not a moment ago there is nothing to see. What
 * another replica finds meanwhile is not known here: it waits for the ticket after the next, at worst.
 */
function isIdle(
  { nothingDueAt, inFlight, clock }: KeeperState,
  id: CredentialId,
  reason: RefreshTrigger,
): boolean {
  const key = keyOf(id);
  if (reason !== 'ticket' || inFlight.has(key)) return false;
  return clock.monotonic() - (nothingDueAt.get(key) ?? -Infinity) < IDLE_MS;
}

function ensureFresh(
  state: KeeperState,
  id: CredentialId,
  reason: RefreshTrigger,
): Promise<RefreshOutcome> {
  const key = keyOf(id);
  const running = state.inFlight.get(key);
  if (running !== undefined) {
    return isNews(reason) ? ensureAfter(state, id, reason, running) : running;
  }
  state.nothingDueAt.delete(key);
  const ignoreBackoff = reason === 'forced' && isNewWish(state, key);
  const promise = attemptRefresh(state, id, { reason, ignoreBackoff }).finally(() =>
    state.inFlight.delete(key),
  );
  state.inFlight.set(key, promise);
  void promise.then((outcome) => {
    state.onOutcome?.(id.kind, reason, outcome);
    followUp(state, id, outcome);
  });
  return promise;
}

/** Changes what a look finds or may do: one that began before does not know of it. */
function isNews(reason: RefreshTrigger): boolean {
  return ['ticket', 'refused', 'forced', 'handed_out'].includes(reason);
}

/** Somebody may have mended what made the last try fail, and asks for a call; but not in a loop. */
function isNewWish({ forcedAt, clock }: KeeperState, key: string): boolean {
  const now = clock.monotonic();
  if (now - (forcedAt.get(key) ?? -Infinity) < FORCED_EVERY_MS) return false;
  forcedAt.set(key, now);
  return true;
}

/** Looks once more after the look under way, for all who ask with this reason meanwhile. */
function ensureAfter(
  state: KeeperState,
  id: CredentialId,
  reason: RefreshTrigger,
  running: Promise<RefreshOutcome>,
): Promise<RefreshOutcome> {
  const key = `${id.kind}:${id.subject}:${reason}`;
  const known = state.following.get(key);
  if (known !== undefined) return known;
  const promise = running.then((outcome) => {
    state.following.delete(key);
    // What was handed out may be what was just minted. And only a new ticket makes it worth while to
    // call again at once after a call that failed.
    const answered =
      (outcome.did === 'refreshed' && reason !== 'handed_out') ||
      (outcome.did === 'failed' && reason !== 'ticket');
    return answered ? outcome : ensureFresh(state, id, reason);
  });
  state.following.set(key, promise);
  return promise;
}

async function attemptRefresh(
  state: KeeperState,
  id: CredentialId,
  attempt: Attempt,
): Promise<RefreshOutcome> {
  const target = targetOf(state.subjects, id);
  if (target === undefined) return blocked('not_found', 'No such credential is kept here.');
  if (state.stopping) {
    return blocked('stopping', 'This process is stopping; ask another one.', 1);
  }
  try {
    const outcome = await refreshAfterParent(state, target, attempt);
    await planNext(state, target, outcome);
    if (outcome.did !== 'nothing_due') state.storeProblems.delete(id.kind);
    return outcome;
  } catch (error) {
    return storeTrouble(state, id, error);
  }
}

function blocked(
  code: 'not_found' | 'stopping',
  message: string,
  retryAfterSeconds?: number,
): RefreshOutcome {
  const options = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
  return { did: 'blocked', error: new KeeperError(code, message, options) };
}

/** What a kind is minted with comes first; when that cannot be had, its reason is the reason. */
async function refreshAfterParent(
  state: KeeperState,
  target: Target,
  attempt: Attempt,
): Promise<RefreshOutcome> {
  // Verifying a local copy mints nothing, so it needs nothing to mint with.
  if (attempt.reason === 'rota') return refreshIfDue(state, target, attempt);
  const parentReason = attempt.reason === 'patrol' ? 'patrol' : 'needed';
  const parent =
    target.parent === undefined ? undefined : await ensureFresh(state, target.parent, parentReason);
  if (parent?.did === 'locked' && (await mustAwaitParent(state, target, parent.because))) {
    return { did: 'locked', until: state.store.time.now() + PARENT_WAIT_MS };
  }
  const outcome = await refreshIfDue(state, target, attempt);
  if (outcome.did === 'blocked' && parent !== undefined && 'error' in parent) {
    if (parent.did === 'blocked') return parent;
    return { did: 'waited', until: parent.until, error: parent.error };
  }
  if (outcome.did !== 'failed' || outcome.deadParentSeq === undefined) return outcome;
  return renewParentAndRetry(state, target, outcome, outcome.deadParentSeq);
}

/**
 * While its successor is being minted, which may kill it under our call. When that is merely not
 * known to be over, it serves for as long as it lives.
 */
async function mustAwaitParent(
  { store }: KeeperState,
  { parent }: Target,
  because: Extract<RefreshOutcome, { did: 'locked' }>['because'] = 'locked',
): Promise<boolean> {
  if (parent === undefined || because === 'locked') return true;
  const { value, expiresAt, readAt } = await readRecord(store, parent);
  return value === undefined || expiresAt <= readAt;
}

/** Logs a problem with Redis once, not at every look that meets it. */
function storeTrouble(state: KeeperState, id: CredentialId, error: unknown): RefreshOutcome {
  const known = error instanceof KeeperError ? error : undefined;
  const cause = known?.cause;
  const complaint = cause instanceof Error && cause.name === 'ReplyError';
  const problem = complaint ? cause.message.split(' ', 1)[0] : known?.code;
  // That Redis is silent is logged where the connection is watched; what it complains of, here.
  const worthSaying = complaint || known?.code !== 'store_unavailable';
  if (worthSaying && problem !== state.storeProblems.get(id.kind)) {
    state.log.error('could not look at a credential', { ...id, problem, error });
  }
  state.storeProblems.set(id.kind, problem);
  const patience = complaint ? COMPLAINT_RETRY_MS : STORE_RETRY_MS;
  return {
    did: 'failed',
    until: state.store.time.now() + patience * (1 + state.clock.random()),
    error: {
      class: known?.code === 'store_unavailable' ? 'store' : 'bug',
      message: known?.message ?? 'an unexpected fault inside wxkeeper',
      advice: 'It is tried again.',
    },
  };
}

/** WeChat called the credential we minted with dead: renew that one, then try once more, no more. */
async function renewParentAndRetry(
  state: KeeperState,
  target: Target,
  failure: RefreshOutcome,
  deadSeq: number,
): Promise<RefreshOutcome> {
  const { parent } = target;
  if (parent === undefined) return failure;
  const by = { call: target.id.kind };
  const refusal = await noteInvalid(state, parent, { seq: deadSeq, by, ownDoing: false });
  if (refusal.outcome === 'throttled') return failure;
  await ensureFresh(state, parent, 'refused');
  const { seq } = await readRecord(state.store, parent);
  if (seq === deadSeq) return failure;
  return refreshIfDue(state, target, { reason: 'refused', ignoreBackoff: true });
}

/** Plans the next look after a look that left something undone; dependents follow a new value. */
function followUp(state: KeeperState, id: CredentialId, outcome: RefreshOutcome): void {
  const key = keyOf(id);
  state.planned.get(key)?.();
  state.planned.delete(key);
  if (state.stopping) return;
  if (outcome.did === 'refreshed') {
    for (const dependent of dependentsOf(state.subjects, id)) {
      void ensureFresh(state, dependent, 'renewed_parent');
    }
  }
  if (!('until' in outcome)) return;
  const wait = Math.max(0, outcome.until - state.store.time.now());
  // Authorizers are found by their index: a timer for each of 100,000 would be another one.
  if (id.kind === 'authorizer_access_token' && (outcome.did !== 'failed' || wait > SOON_MS)) return;
  // Jitter, so that replicas that wait for the same moment do not all wake in it.
  const delay = wait + state.clock.random() * Math.min(MAX_JITTER_MS, wait / 10);
  const cancel = state.clock.setTimer(delay, () => {
    state.planned.delete(key);
    void ensureFresh(state, id, 'retry');
  });
  state.planned.set(key, cancel);
}

async function idle(state: KeeperState): Promise<void> {
  const { inFlight, following } = state;
  while (inFlight.size + following.size > 0) {
    await Promise.allSettled([...inFlight.values(), ...following.values()]);
  }
}
