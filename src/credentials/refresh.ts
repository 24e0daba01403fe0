import { iso } from '../lib/time-format.ts';
import { randomUUID } from 'node:crypto';
import { sleep } from '../lib/clock.ts';
import { KeeperError } from '../lib/errors.ts';
import type { CredentialId } from '../store/redis/keys.ts';
import {
  beginMint,
  commitMint,
  LEASE_MS,
  MAX_BACKOFF_MS,
  SETTLE_MS,
  type CommitResult,
} from '../store/credentials/mint.ts';
import { readRecord, type CredentialRecord } from '../store/credentials/record.ts';
import { ownError } from './error-words.ts';
import { PausedError, recordFailure } from './failure.ts';
import { judgeFreshness, windowOf, type Freshness } from './freshness.ts';
import { readRepaired } from './read-repair.ts';
import type { Preparation } from './kinds/kind.ts';
import {
  type Attempt,
  type Begun,
  type RefreshOutcome,
  type RefreshTrigger,
  type RefreshContext,
  type Target,
} from './refresh-types.ts';

/**
 * One attempt to refresh one credential: judge, begin at the judged seq, mint, commit or fail. It
 * never sleeps between attempts: the keeper looks again later, and the lock is free meanwhile.
 */

/** Milliseconds, monotonic: whoever was paused for longer before the call must not make it. */
const MAX_BEGIN_TO_SEND_MS = 2_000;
const COMMIT_RETRY_MS = 1_000;
const MAX_ROUNDS = 3;

/** @throws KeeperError `store_unavailable` */
export async function refreshIfDue(
  context: RefreshContext,
  target: Target,
  attempt: Attempt,
): Promise<RefreshOutcome> {
  // Losing the race for a record twice in a row is rare; for ever would be a fault in the record.
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const outcome = await refreshOnce(context, target, attempt);
    if (outcome !== 'changed') return outcome;
  }
  return { did: 'locked', until: context.store.time.now() + LEASE_MS };
}

/** `changed` when somebody refreshed the record after it was judged. */
async function refreshOnce(
  context: RefreshContext,
  target: Target,
  attempt: Attempt,
): Promise<RefreshOutcome | 'changed'> {
  const { store, clock } = context;
  const { id, kind } = target;
  const record = await readRepaired(context, target);
  const now = record.readAt;
  const window = windowOf(id, context.windowMs);
  const freshness = judgeFreshness(record, now, window, kind.singleUse);
  if (freshness.state === 'fresh' || isLeftToTick(target, attempt, freshness, record)) {
    return { did: 'nothing_due', until: freshness.urgentAt, dueAt: freshness.dueAt };
  }
  if (attempt.reason === 'rota') return leftToDueQueue(context, target, record, freshness);
  const ignoreBackoff = attempt.ignoreBackoff === true || outlivedBackoff(record, attempt.reason);
  const waiting = record.retryAt > now && record.retryAt <= now + MAX_BACKOFF_MS;
  if (waiting && !ignoreBackoff) {
    return { did: 'waited', until: record.retryAt, error: record.lastError };
  }
  const parent = await readParent(context, target);
  if (parent instanceof KeeperError) return { did: 'blocked', error: parent };
  const kindContext = { ...context, id, record, now, parent: parent?.value ?? '' };
  const prepared = await target.prepare(kindContext);
  if ('blocked' in prepared) return { did: 'blocked', error: prepared.blocked };

  const operation = randomUUID();
  const startedAt = clock.monotonic();
  const begun = await beginMint(store, id, {
    operation,
    judgedSeq: record.seq,
    ignoreBackoff,
    needed: ['urgent', 'expired', 'missing'].includes(freshness.state),
    budget: target.budget,
  });
  switch (begun.outcome) {
    case 'granted': {
      const { begin, epoch } = begun;
      const mint = { record, freshness, operation, begin, epoch, startedAt, kindContext };
      return mintAndCommit(context, target, attempt, prepared.mint, {
        ...mint,
        parentSeq: parent?.seq,
      });
    }
    case 'changed':
      return 'changed';
    case 'backoff':
      return { did: 'waited', until: begun.until, error: record.lastError };
    case 'throttled':
      if (begun.news) sayHeldBack(context, id, freshness, begun.until);
      return { did: 'waited', until: begun.until, error: ownError('quota', 'budget_spent') };
    case 'locked':
    case 'unresolved':
    case 'quarantined':
    case 'settling':
      return { did: 'locked', until: begun.until, because: begun.outcome };
  }
}

function sayHeldBack(
  { log }: RefreshContext,
  { kind, subject }: CredentialId,
  { state }: Freshness,
  until: number,
): void {
  const facts = { kind, subject, state, until: iso(until) };
  log.warn('a mint was held back: its budget is spent', facts);
}

/** Nothing is minted: what is due is left to the due queue, which is told when that will be, if at all. */
async function leftToDueQueue(
  context: RefreshContext,
  target: Target,
  record: CredentialRecord,
  { urgentAt, dueAt }: Freshness,
): Promise<RefreshOutcome> {
  const { readAt: now, retryAt } = record;
  const prepared = await target.prepare({ ...context, id: target.id, record, now, parent: '' });
  if ('blocked' in prepared) return { did: 'blocked', error: prepared.blocked };
  return { did: 'nothing_due', until: urgentAt, dueAt: Math.max(dueAt, retryAt) };
}

/** What is merely inside its window waits for the tick; a maintenance round mends what cannot wait for it. */
function isLeftToTick(
  { kind }: Target,
  { reason }: Attempt,
  freshness: Freshness,
  { retryAt }: CredentialRecord,
): boolean {
  // After a failure the next try is planned by its back-off, which a maintenance round must not put off.
  const onlyDue = freshness.reason === 'inside_window' && retryAt === 0;
  return reason === 'patrol' && onlyDue && kind.of !== 'authorizer';
}

/** The live value this kind is minted with; undefined when it needs none. */
async function readParent(
  { store, memory }: RefreshContext,
  { parent }: Target,
): Promise<{ value: string; seq: number } | KeeperError | undefined> {
  if (parent === undefined) return undefined;
  const { value, seq, expiresAt, readAt } = await readRecord(
    store,
    parent,
    memory.lastRead(parent),
  );
  if (value !== undefined && expiresAt > readAt) return { value, seq };
  const message = `There is no live ${parent.kind} to ask WeChat with.`;
  return new KeeperError('wechat_unavailable', message, { retryAfterSeconds: 10 });
}

/**
 * A new ticket ends the wait for a ticket; whoever starts a process may have mended what a person must
 * mend; a value that has died since the failure need not wait for WeChat to be less busy, once: the next failure
 * is about this death, however many complain of it. What needs a person is not hammered by any of it.
 */
function outlivedBackoff(record: CredentialRecord, reason: RefreshTrigger): boolean {
  const { lastErrorAt = 0, refusedAt = 0 } = record;
  const waitedFor = record.lastError?.class;
  return (
    (reason === 'ticket' && waitedFor === 'ticket') ||
    (reason === 'start' && FOR_A_PERSON.includes(waitedFor)) ||
    ((reason === 'refused' || reason === 'forced') &&
      refusedAt > lastErrorAt &&
      (waitedFor === 'retry' || waitedFor === 'token'))
  );
}

const FOR_A_PERSON: readonly (string | undefined)[] = ['config', 'quota', 'permission', 'bug'];

async function mintAndCommit(
  context: RefreshContext,
  target: Target,
  attempt: Attempt,
  mint: Extract<Preparation, { mint: unknown }>['mint'],
  begun: Begun,
): Promise<RefreshOutcome> {
  const { clock } = context;
  const calledAt = clock.monotonic();
  if (calledAt - begun.startedAt > MAX_BEGIN_TO_SEND_MS) {
    return recordFailure(context, target, attempt, begun, new PausedError());
  }
  let minted: Awaited<ReturnType<typeof mint>>;
  try {
    minted = await mint();
  } catch (error) {
    return recordFailure(context, target, attempt, begun, error);
  }
  const { id, kind } = target;
  // Before anything can go wrong with storing it: WeChat takes the one that was sent no more.
  context.memory.rotate(id, begun.record.refreshToken, minted.refreshToken);
  const reason = `${attempt.reason}:${begun.freshness.reason}`;
  // The mint that settles a doubt raises no new one: a host that stays broken would never let it end.
  const doubtful =
    minted.mayHaveRunTwice && begun.freshness.reason !== 'order_unknown' && !kind.singleUse;
  const committed = await commitPatiently(context, target, begun.startedAt, () => ({
    operation: begun.operation,
    begin: begun.begin,
    epoch: begun.epoch,
    value: minted.value,
    lifeMs: minted.lifeSeconds * 1000,
    ageMs: clock.monotonic() - calledAt,
    reason,
    replica: context.replica,
    doubtful,
    singleUse: kind.singleUse,
    authEpoch: begun.record.authEpoch,
    refreshToken: minted.refreshToken,
    sentRefreshToken: begun.record.storedRefreshToken,
  }));
  // Otherwise what is stored is looked at once more, below or by whoever looks next.
  if (committed.outcome === 'stored') context.memory.endRotation(id);
  const facts = {
    kind: id.kind,
    subject: id.subject,
    seq: committed.seq,
    reason,
    expires_at: iso(committed.expiresAt),
    took_ms: Math.round(clock.monotonic() - begun.startedAt),
  };
  if (minted.lifeAssumed)
    context.log.warn('WeChat gave an odd expires_in; a life is assumed', facts);
  const { record } = begun;
  const repeated = committed.outcome === 'stored' && committed.seq === record.seq;
  if (record.refused && !record.forced && repeated)
    context.log.warn('WeChat gave the value again that was called dead: it is alive', facts);
  return concludeCommit(context, target, committed, doubtful, facts);
}

async function concludeCommit(
  context: RefreshContext,
  target: Target,
  { outcome, seq, record: stored }: CommitResult,
  doubtful: boolean,
  facts: Record<string, unknown>,
): Promise<RefreshOutcome> {
  const { log, store } = context;
  const now = store.time.now();
  switch (outcome) {
    case 'superseded':
      await readRepaired(context, target);
      log.info('a minted token belongs to an authorization that has ended; dropped', facts);
      return { did: 'locked', until: now };
    case 'overlapped':
      await readRepaired(context, target);
      log.warn('another mint overlapped this one; one more settles which is newer', facts);
      return { did: 'locked', until: now };
    case 'stored':
      break;
  }
  log.info('credential refreshed', facts);
  if (doubtful) {
    log.warn('an earlier host may have minted too; one more mint settles it', facts);
    const settled = now + SETTLE_MS;
    return { did: 'refreshed', seq, until: settled, dueAt: settled };
  }
  // As it was stored rather than as we think: it is what everybody sees, and what is remembered. What was
  // lost while the mint was under way is given back here.
  const record = await readRepaired(context, target, stored).catch(() => undefined);
  if (record === undefined) return { did: 'refreshed', seq, until: now, dueAt: now };
  const { urgentAt, dueAt } = judgeFreshness(
    record,
    now,
    windowOf(target.id, context.windowMs),
    false,
  );
  return { did: 'refreshed', seq, until: Math.max(urgentAt, now), dueAt };
}

/** A minted value must not be lost to a hiccup of Redis; the commit is safe to repeat. */
async function commitPatiently(
  { store, clock, log }: RefreshContext,
  { id: { kind, subject } }: Target,
  startedAt: number,
  mint: () => Parameters<typeof commitMint>[2],
): ReturnType<typeof commitMint> {
  for (;;) {
    try {
      return await commitMint(store, { kind, subject }, mint());
    } catch (error) {
      if (clock.monotonic() - startedAt > LEASE_MS - COMMIT_RETRY_MS) {
        log.error('a minted value could not be stored and is lost', { kind, subject, error });
        throw error;
      }
      log.warn('a minted value could not be stored yet', { kind, subject });
      await sleep(clock, COMMIT_RETRY_MS);
    }
  }
}
