import { KeeperError } from '../errors.ts';
import { readRecord } from '../store/records.ts';
import type { CredentialId, CredentialKindName } from '../store/keys.ts';
import { CREDENTIAL_KINDS } from './kinds/index.ts';
import type { Component, CredentialKind } from './kinds/kind.ts';
import type { LookOutcome, LookReason, RefreshContext } from './look.ts';
import { refreshIfDue } from './refresh.ts';

/**
 * Keeps every credential of every component fresh. Whoever has a reason (a cron tick, a new
 * ticket, a reader, a retry) asks the keeper to look; it refreshes what is due, once, however many
 * ask at the same moment.
 */
export interface Keeper {
  /** Looks at one credential and refreshes it if it is due. Never rejects. */
  look(id: CredentialId, reason: LookReason): Promise<LookOutcome>;
  /** Looks at all kinds of one component, in the order in which they build on each other. */
  lookAtComponent(appid: string, reason: LookReason): Promise<void>;
  /** Looks at one kind of all components. */
  sweep(kind: CredentialKindName, reason: LookReason): Promise<SweepResult>;
  /** The kind of this id, when we keep it for this subject. */
  kindOf(id: CredentialId): CredentialKind | undefined;
  /** Resolves when nothing is being looked at. Waiting timers do not count. */
  idle(): Promise<void>;
  /** No further looks; resolves when the mints and commits in flight are done. */
  stop(): Promise<void>;
}

export interface SweepResult {
  /** Nothing that was due was left undone. */
  ok: boolean;
  /** What was done, in a few words. */
  summary: string;
}

/** Milliseconds, with jitter: a silent Redis is asked again soon, one that refuses later. */
const STORE_RETRY_MS = 2_000;
const COMPLAINT_RETRY_MS = 15_000;
/** Milliseconds until a value is looked at again whose parent is just being minted. */
const PARENT_WAIT_MS = 500;
const MAX_JITTER_MS = 1_000;

interface KeeperState extends RefreshContext {
  components: ReadonlyMap<string, Component>;
  /** One look per credential at a time in this process; the lock in Redis serves the others. */
  inFlight: Map<string, Promise<LookOutcome>>;
  /** Cancels the planned next look of a credential. */
  planned: Map<string, () => void>;
  stopping: boolean;
  /** The last trouble with Redis that was logged. */
  storeProblem: string | undefined;
}

export function createKeeper(
  context: RefreshContext & { components: readonly Component[] },
): Keeper {
  const state: KeeperState = {
    ...context,
    components: new Map(context.components.map((component) => [component.appid, component])),
    inFlight: new Map(),
    planned: new Map(),
    stopping: false,
    storeProblem: undefined,
  };
  return {
    look: (id, reason) => look(state, id, reason),
    lookAtComponent: (appid, reason) => lookAtComponent(state, appid, reason),
    sweep: (kind, reason) => sweep(state, kind, reason),
    kindOf: (id) => (state.components.has(id.subject) ? kindNamed(id.kind) : undefined),
    idle: () => idle(state),
    async stop() {
      state.stopping = true;
      for (const cancel of state.planned.values()) cancel();
      state.planned.clear();
      await idle(state);
    },
  };
}

function kindNamed(name: string): CredentialKind | undefined {
  return CREDENTIAL_KINDS.find((kind) => kind.name === name);
}

async function sweep(
  state: KeeperState,
  kind: CredentialKindName,
  reason: LookReason,
): Promise<SweepResult> {
  const counts = new Map<LookOutcome['did'], number>();
  for (const subject of state.components.keys()) {
    const { did } = await look(state, { kind, subject }, reason);
    counts.set(did, (counts.get(did) ?? 0) + 1);
  }
  const undone = ['failed', 'waited', 'blocked'] as const;
  const summary = [...counts].map(([did, count]) => `${count} ${did.replace('_', ' ')}`).join(', ');
  return { ok: !undone.some((did) => counts.has(did)), summary };
}

async function lookAtComponent(
  state: KeeperState,
  appid: string,
  reason: LookReason,
): Promise<void> {
  for (const { name } of CREDENTIAL_KINDS)
    await look(state, { kind: name, subject: appid }, reason);
}

function look(
  state: KeeperState,
  id: CredentialId,
  reason: LookReason,
  refusedSeq?: number,
): Promise<LookOutcome> {
  const key = `${id.kind}:${id.subject}`;
  const running = state.inFlight.get(key);
  if (running !== undefined) return running;
  const promise = attempt(state, id, reason, refusedSeq).finally(() => state.inFlight.delete(key));
  state.inFlight.set(key, promise);
  void promise.then((outcome) => followUp(state, id, outcome));
  return promise;
}

async function attempt(
  state: KeeperState,
  id: CredentialId,
  reason: LookReason,
  refusedSeq: number | undefined,
): Promise<LookOutcome> {
  const kind = kindNamed(id.kind);
  const component = state.components.get(id.subject);
  if (kind === undefined || component === undefined) {
    return {
      did: 'blocked',
      error: new KeeperError('not_found', 'No such credential is kept here.'),
    };
  }
  if (state.stopping) {
    const message = 'This process is stopping; ask another one.';
    return {
      did: 'blocked',
      error: new KeeperError('stopping', message, { retryAfterSeconds: 1 }),
    };
  }
  try {
    const outcome = await refreshAfterParent(state, { id, kind, component, reason, refusedSeq });
    state.storeProblem = undefined;
    return outcome;
  } catch (error) {
    return storeTrouble(state, id, error);
  }
}

interface Target {
  id: CredentialId;
  kind: CredentialKind;
  component: Component;
  reason: LookReason;
  refusedSeq: number | undefined;
}

/** What a kind is minted with comes first; when that cannot be had, its reason is the reason. */
async function refreshAfterParent(state: KeeperState, target: Target): Promise<LookOutcome> {
  const { id, kind } = target;
  const parent =
    kind.needs === undefined ? undefined : await look(state, { ...id, kind: kind.needs }, 'needed');
  // Its successor is being minted, which may kill it under our call: wait for the new one.
  if (parent?.did === 'locked') return { did: 'locked', until: state.clock.now() + PARENT_WAIT_MS };
  const outcome = await refreshIfDue(state, target);
  if (outcome.did === 'blocked' && parent !== undefined && 'error' in parent) {
    if (parent.did === 'blocked') return parent;
    return { did: 'waited', until: parent.until, error: parent.error };
  }
  if (outcome.did !== 'failed' || outcome.deadParent === undefined) return outcome;
  return renewParentAndRetry(state, target, outcome, outcome.deadParent);
}

/** Logs a problem with Redis once, not at every look that meets it. */
function storeTrouble(state: KeeperState, id: CredentialId, error: unknown): LookOutcome {
  const known = error instanceof KeeperError ? error : undefined;
  const cause = known?.cause;
  const complaint = cause instanceof Error && cause.name === 'ReplyError';
  const problem = complaint ? cause.message.split(' ', 1)[0] : known?.code;
  // That Redis is silent is logged where the connection is watched; what it complains of, here.
  const worthSaying = complaint || known?.code !== 'store_unavailable';
  if (worthSaying && problem !== state.storeProblem) {
    state.log.error('could not look at a credential', { ...id, problem, error });
  }
  state.storeProblem = problem;
  const patience = complaint ? COMPLAINT_RETRY_MS : STORE_RETRY_MS;
  return {
    did: 'failed',
    until: state.clock.now() + patience * (1 + state.clock.random()),
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
  failure: LookOutcome,
  dead: { id: CredentialId; seq: number },
): Promise<LookOutcome> {
  await look(state, dead.id, 'refused', dead.seq);
  const parent = await readRecord(state.store, dead.id);
  if (parent.seq === dead.seq) return failure;
  return refreshIfDue(state, {
    ...target,
    reason: 'refused',
    refusedSeq: undefined,
    ignoreBackoff: true,
  });
}

/** Plans the next look after a look that left something undone; dependents follow a new value. */
function followUp(state: KeeperState, id: CredentialId, outcome: LookOutcome): void {
  const key = `${id.kind}:${id.subject}`;
  state.planned.get(key)?.();
  state.planned.delete(key);
  if (state.stopping) return;
  if (outcome.did === 'refreshed') {
    for (const kind of CREDENTIAL_KINDS) {
      if (kind.needs === id.kind) void look(state, { ...id, kind: kind.name }, 'renewed_parent');
    }
  }
  if (!('until' in outcome)) return;
  // Jitter, so that replicas that wait for the same moment do not all wake in it.
  const wait = Math.max(0, outcome.until - state.clock.now());
  const delay = wait + state.clock.random() * Math.min(MAX_JITTER_MS, wait / 10);
  const cancel = state.clock.setTimer(delay, () => {
    state.planned.delete(key);
    void look(state, id, 'retry');
  });
  state.planned.set(key, cancel);
}

async function idle(state: KeeperState): Promise<void> {
  while (state.inFlight.size > 0) await Promise.allSettled(state.inFlight.values());
}
