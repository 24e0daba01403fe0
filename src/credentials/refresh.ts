import { randomUUID } from 'node:crypto';
import { sleep } from '../clock.ts';
import type { CredentialId } from '../store/keys.ts';
import {
  beginMint,
  commitMint,
  MAX_BACKOFF_MS,
  readRecord,
  SETTLE_MS,
  type CredentialRecord,
} from '../store/records.ts';
import type { Minted } from '../wechat/component.ts';
import { recordFailure } from './failure.ts';
import { judgeFreshness, type Freshness } from './freshness.ts';
import type { Component, CredentialKind, Preparation } from './kinds/kind.ts';
import type { LookOutcome, LookReason, RefreshContext } from './look.ts';

/**
 * One attempt to refresh one credential: judge, take the lock at the judged seq, mint, commit or
 * fail. It never sleeps between attempts: the keeper looks again later, and the lock is free
 * meanwhile.
 */

/** Milliseconds a lock lasts: longer than the longest call to WeChat plus the commit. */
export const LEASE_MS = 20_000;
const COMMIT_RETRY_MS = 1_000;
const MAX_ROUNDS = 3;

interface Attempt {
  id: CredentialId;
  kind: CredentialKind;
  component: Component;
  reason: LookReason;
  /** The seq that WeChat called dead: refresh it even if it is fresh by our reckoning. */
  refusedSeq?: number | undefined;
  /** What made the last try fail was just mended. */
  ignoreBackoff?: boolean;
}

/** A refused value younger than this is not minted again: the complaint may be older than it. */
const MIN_REFUSED_AGE_MS = 60_000;

/** @throws KeeperError `store_unavailable` */
export async function refreshIfDue(
  context: RefreshContext,
  attempt: Attempt,
): Promise<LookOutcome> {
  // Losing the race for a record twice in a row is rare; for ever would be a fault in the record.
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const outcome = await refreshOnce(context, attempt);
    if (outcome !== 'changed') return outcome;
  }
  return { did: 'locked', until: context.clock.now() + LEASE_MS };
}

/** `changed` when somebody refreshed the record after it was judged. */
async function refreshOnce(
  context: RefreshContext,
  attempt: Attempt,
): Promise<LookOutcome | 'changed'> {
  const { store, clock, api } = context;
  const { id, kind, component } = attempt;
  const record = await readRecord(store, id);
  const now = clock.now();
  const freshness = judgeFreshness(record, now, context.windowMs, kind.singleUse);
  const oldEnough = now - record.obtainedAt >= MIN_REFUSED_AGE_MS;
  const refused = attempt.refusedSeq === record.seq && oldEnough;
  if (freshness.state === 'fresh' && !refused) {
    return { did: 'nothing_due', until: freshness.urgentAt };
  }
  const ignoreBackoff = attempt.ignoreBackoff === true || outlivedBackoff(record, attempt.reason);
  const waiting = record.retryAt > now && record.retryAt <= now + MAX_BACKOFF_MS;
  if (waiting && !ignoreBackoff) {
    return { did: 'waited', until: record.retryAt, error: record.lastError };
  }
  const prepared = await kind.prepare({ store, api, component, now });
  if ('blocked' in prepared) return { did: 'blocked', error: prepared.blocked };

  const operation = randomUUID();
  const startedAt = clock.monotonic();
  const begun = await beginMint(store, id, {
    operation,
    now: clock.now(),
    leaseMs: LEASE_MS,
    judgedSeq: record.seq,
    ignoreBackoff,
  });
  switch (begun.outcome) {
    case 'granted': {
      const mint = { record, freshness, operation, begin: begun.begin, startedAt };
      return mintAndCommit(context, attempt, prepared, mint);
    }
    case 'locked':
      return { did: 'locked', until: clock.now() + begun.leftMs };
    case 'changed':
      return 'changed';
    case 'backoff':
      return { did: 'waited', until: begun.until, error: record.lastError };
  }
}

/**
 * A new ticket ends the wait for a ticket; a restart may have brought the corrected setting; a dead
 * value need not wait for WeChat to be less busy. What needs a person is not hammered by any of it.
 */
function outlivedBackoff(record: CredentialRecord, reason: LookReason): boolean {
  const waitedFor = record.lastError?.class;
  return (
    (reason === 'ticket' && waitedFor === 'ticket') ||
    (reason === 'start' && waitedFor === 'config') ||
    (reason === 'refused' && (waitedFor === 'retry' || waitedFor === 'token'))
  );
}

interface Begun {
  record: CredentialRecord;
  freshness: Freshness;
  operation: string;
  begin: number;
  /** Monotonic ms just before the lock was asked for. */
  startedAt: number;
}

async function mintAndCommit(
  context: RefreshContext,
  attempt: Attempt,
  prepared: Extract<Preparation, { mint: unknown }>,
  begun: Begun,
): Promise<LookOutcome> {
  const { clock, log } = context;
  // The answer's own moment is unknown; counting life from before the call can only be too short.
  const obtainedAt = clock.now();
  let minted: Minted;
  try {
    minted = await prepared.mint();
  } catch (error) {
    return recordFailure(context, attempt, begun, error, prepared.uses);
  }
  const expiresAt = obtainedAt + minted.lifeSeconds * 1000;
  const settleAt = clock.now() + SETTLE_MS;
  const reason = `${attempt.reason}:${begun.freshness.reason}`;
  // The mint that settles a doubt raises no new one: a host that stays broken would never let it end.
  const doubtful = minted.mayHaveRunTwice && begun.freshness.reason !== 'order_unknown';
  const { outcome, seq } = await commitPatiently(context, attempt.id, begun.startedAt, {
    operation: begun.operation,
    begin: begun.begin,
    value: minted.value,
    now: clock.now(),
    obtainedAt,
    expiresAt,
    reason,
    replica: context.replica,
    doubtful,
  });
  const facts = {
    ...{ kind: attempt.id.kind, subject: attempt.id.subject, seq, reason },
    expires_at: new Date(expiresAt).toISOString(),
    took_ms: Math.round(clock.monotonic() - begun.startedAt),
  };
  if (minted.lifeAssumed) log.warn('WeChat gave an odd expires_in; a life is assumed', facts);
  if (outcome === 'overlapped') {
    log.warn('another mint overlapped this one; one more settles which is newer', facts);
    return { did: 'locked', until: settleAt };
  }
  log.info('credential refreshed', facts);
  if (doubtful) {
    log.warn('an earlier host may have minted too; one more mint settles it', facts);
    return { did: 'refreshed', seq, until: settleAt };
  }
  const stored = { value: minted.value, obtainedAt, expiresAt, taken: false, suspect: false };
  const { urgentAt } = judgeFreshness(stored, clock.now(), context.windowMs, false);
  return { did: 'refreshed', seq, until: urgentAt };
}

/** A minted value must not be lost to a hiccup of Redis; the commit is safe to repeat. */
async function commitPatiently(
  { store, clock, log }: RefreshContext,
  { kind, subject }: CredentialId,
  startedAt: number,
  mint: Parameters<typeof commitMint>[2],
): ReturnType<typeof commitMint> {
  for (;;) {
    try {
      return await commitMint(store, { kind, subject }, mint);
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
