import { KeeperError } from '../errors.ts';
import { readRecord } from '../store/records.ts';
import type { CredentialId, CredentialKindName } from '../store/keys.ts';
import { CREDENTIAL_KINDS } from './kinds/index.ts';
import type { Component, CredentialKind } from './kinds/kind.ts';
import { refreshIfDue, type LookOutcome, type LookReason, type RefreshContext } from './refresh.ts';

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
  /** Looks at one kind of all components. Returns what was done, in a few words. */
  sweep(kind: CredentialKindName, reason: LookReason): Promise<string>;
  /** The kind of this id, when we keep it for this subject. */
  kindOf(id: CredentialId): CredentialKind | undefined;
  /** Resolves when nothing is being looked at. Waiting timers do not count. */
  idle(): Promise<void>;
  /** No further looks; resolves when the mints and commits in flight are done. */
  stop(): Promise<void>;
}

/** A store that does not answer is asked again after this, with jitter. */
const STORE_RETRY_MS = 2_000;

interface KeeperState extends RefreshContext {
  components: ReadonlyMap<string, Component>;
  /** One look per credential at a time in this process; the lock in Redis serves the others. */
  inFlight: Map<string, Promise<LookOutcome>>;
  /** Cancels the planned next look of a credential. */
  planned: Map<string, () => void>;
  stopping: boolean;
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
): Promise<string> {
  const counts = new Map<string, number>();
  for (const subject of state.components.keys()) {
    const { did } = await look(state, { kind, subject }, reason);
    counts.set(did, (counts.get(did) ?? 0) + 1);
  }
  return [...counts].map(([did, count]) => `${count} ${did.replace('_', ' ')}`).join(', ');
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
    if (kind.needs !== undefined) {
      const parent = await look(state, { ...id, kind: kind.needs }, reason);
      // Its successor is being minted, which may kill it under our call: wait for the new one.
      if (parent.did === 'locked') return { did: 'locked', until: state.clock.now() };
    }
    const outcome = await refreshIfDue(state, { id, kind, component, reason, refusedSeq });
    if (outcome.did !== 'failed' || outcome.deadParent === undefined) return outcome;
    return await renewParentAndRetry(state, { id, kind, component }, outcome, outcome.deadParent);
  } catch (error) {
    state.log[isSilence(error) ? 'debug' : 'error']('could not look at a credential', {
      ...id,
      error,
    });
    const until = state.clock.now() + STORE_RETRY_MS * (1 + state.clock.random());
    const known = error instanceof KeeperError ? error : undefined;
    const message = known?.message ?? 'an unexpected fault inside wxkeeper';
    return {
      did: 'failed',
      until,
      error: { class: 'retry', message, advice: 'It is tried again.' },
    };
  }
}

/** No answer from Redis, which is logged once where the connection is watched; not its complaint. */
function isSilence(error: unknown): boolean {
  if (!(error instanceof KeeperError) || error.code !== 'store_unavailable') return false;
  return !(error.cause instanceof Error && error.cause.name === 'ReplyError');
}

/** WeChat called the credential we minted with dead: renew that one, then try once more, no more. */
async function renewParentAndRetry(
  state: KeeperState,
  target: { id: CredentialId; kind: CredentialKind; component: Component },
  failure: LookOutcome,
  dead: { id: CredentialId; seq: number },
): Promise<LookOutcome> {
  await look(state, dead.id, 'refused', dead.seq);
  const parent = await readRecord(state.store, dead.id);
  if (parent.seq === dead.seq) return failure;
  return refreshIfDue(state, { ...target, reason: 'refused', ignoreBackoff: true });
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
  const delay = Math.max(0, outcome.until - state.clock.now()) + state.clock.random() * 1_000;
  const cancel = state.clock.setTimer(delay, () => {
    state.planned.delete(key);
    void look(state, id, 'retry');
  });
  state.planned.set(key, cancel);
}

async function idle(state: KeeperState): Promise<void> {
  while (state.inFlight.size > 0) await Promise.allSettled(state.inFlight.values());
}
