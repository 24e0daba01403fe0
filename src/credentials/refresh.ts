import { randomUUID } from 'node:crypto';
import { sleep, type Clock } from '../clock.ts';
import type { KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { CredentialId } from '../store/keys.ts';
import {
  beginMint,
  commitMint,
  failMint,
  readRecord,
  type CredentialRecord,
  type StoredError,
} from '../store/records.ts';
import type { Store } from '../store/store.ts';
import { WechatError, type WechatApi } from '../wechat/api.ts';
import type { Minted } from '../wechat/component.ts';
import { judgeFreshness, type Freshness } from './freshness.ts';
import type { Component, CredentialKind, Preparation } from './kinds/kind.ts';
import { retryDelayMs } from './retry.ts';

/**
 * One attempt to refresh one credential: judge, take the lock at the judged seq, mint, commit or
 * fail. It never sleeps between attempts: the keeper looks again later, and the lock is free
 * meanwhile.
 */

/** Milliseconds a lock lasts: longer than the longest call to WeChat plus the commit. */
export const LEASE_MS = 20_000;
const COMMIT_TRIES = 5;
const COMMIT_RETRY_MS = 1_000;

/** Why somebody looks at a credential; becomes the reason of a mint in history and log. */
export type LookReason =
  | 'cron'
  | 'start'
  | 'made_up'
  | 'ticket'
  | 'retry'
  | 'read'
  | 'handed_out'
  | 'renewed_parent'
  | 'refused';

export type LookOutcome =
  | { did: 'nothing_due' }
  | { did: 'refreshed'; seq: number }
  /** Another process is minting, or minted meanwhile; look again at `until` (epoch ms). */
  | { did: 'locked'; until: number }
  /** A recent failure asks for patience until then. */
  | { did: 'waited'; until: number; error: StoredError | undefined }
  | {
      did: 'failed';
      until: number;
      error: StoredError;
      deadParent?: { id: CredentialId; seq: number };
    }
  /** Something is missing that no call can bring. */
  | { did: 'blocked'; error: KeeperError };

export interface RefreshContext {
  store: Store;
  api: WechatApi;
  clock: Clock;
  log: Log;
  /** Upper bound of the refresh window, milliseconds. */
  windowMs: number;
  /** Name of this process in records, history and the status. */
  replica: string;
}

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
  const { store, clock, api } = context;
  const { id, kind, component } = attempt;
  const record = await readRecord(store, id);
  const now = clock.now();
  const freshness = judgeFreshness(record, now, context.windowMs, kind.singleUse);
  const oldEnough = now - record.obtainedAt >= MIN_REFUSED_AGE_MS;
  const refused = attempt.refusedSeq === record.seq && oldEnough;
  if (freshness.state === 'fresh' && !refused) return { did: 'nothing_due' };
  const ignoreBackoff =
    refused || attempt.ignoreBackoff === true || outlivedBackoff(record, attempt.reason);
  if (record.retryAt > now && !ignoreBackoff) {
    return { did: 'waited', until: record.retryAt, error: record.lastError };
  }
  const prepared = await kind.prepare({ store, api, component, now });
  if ('blocked' in prepared) return { did: 'blocked', error: prepared.blocked };

  const operation = randomUUID();
  const begun = await beginMint(store, id, {
    operation,
    now: clock.now(),
    leaseMs: LEASE_MS,
    judgedSeq: record.seq,
    ignoreBackoff,
  });
  switch (begun.outcome) {
    case 'granted':
      return mintAndCommit(context, attempt, prepared, {
        record,
        freshness,
        operation,
        begin: begun.begin,
      });
    case 'locked':
      return { did: 'locked', until: begun.until };
    case 'changed':
      // Somebody refreshed it since it was read: judge what is there now.
      return refreshIfDue(context, attempt);
    case 'backoff':
      return { did: 'waited', until: begun.until, error: record.lastError };
  }
}

/** A new ticket ends the wait for a ticket; a restart may have brought the corrected setting. */
function outlivedBackoff(record: CredentialRecord, reason: LookReason): boolean {
  const waitedFor = record.lastError?.class;
  return (
    (reason === 'ticket' && waitedFor === 'ticket') ||
    (reason === 'start' && waitedFor === 'config')
  );
}

interface Begun {
  record: CredentialRecord;
  freshness: Freshness;
  operation: string;
  begin: number;
}

async function mintAndCommit(
  context: RefreshContext,
  attempt: Attempt,
  prepared: Extract<Preparation, { mint: unknown }>,
  begun: Begun,
): Promise<LookOutcome> {
  const { clock } = context;
  const started = clock.monotonic();
  // The answer's own moment is unknown; counting life from before the call can only be too short.
  const obtainedAt = clock.now();
  let minted: Minted;
  try {
    minted = await prepared.mint();
  } catch (error) {
    return failed(context, attempt, begun, error, prepared.uses);
  }
  const expiresAt = obtainedAt + minted.lifeSeconds * 1000;
  const reason = `${attempt.reason}:${begun.freshness.reason}`;
  const { outcome, seq } = await commitPatiently(context, attempt.id, {
    operation: begun.operation,
    begin: begun.begin,
    value: minted.value,
    now: clock.now(),
    obtainedAt,
    expiresAt,
    reason,
    replica: context.replica,
  });
  const facts = {
    kind: attempt.id.kind,
    subject: attempt.id.subject,
    seq,
    reason,
    expires_at: new Date(expiresAt).toISOString(),
    took_ms: Math.round(clock.monotonic() - started),
  };
  if (minted.lifeAssumed)
    context.log.warn('WeChat gave no usable expires_in; a short life is assumed', facts);
  if (outcome === 'overlapped') {
    context.log.warn('another mint overlapped this one; one more settles which is newer', facts);
    return { did: 'locked', until: clock.now() };
  }
  context.log.info('credential refreshed', facts);
  return { did: 'refreshed', seq };
}

/** A minted value must not be lost to a hiccup of Redis; the commit is safe to repeat. */
async function commitPatiently(
  { store, clock, log }: RefreshContext,
  id: CredentialId,
  mint: Parameters<typeof commitMint>[2],
): ReturnType<typeof commitMint> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await commitMint(store, id, mint);
    } catch (error) {
      if (tries >= COMMIT_TRIES) throw error;
      log.warn('a minted value could not be stored yet', {
        kind: id.kind,
        subject: id.subject,
        tries,
      });
      await sleep(clock, COMMIT_RETRY_MS);
    }
  }
}

async function failed(
  context: RefreshContext,
  { id, reason }: Attempt,
  { record, freshness, operation }: Begun,
  thrown: unknown,
  uses: Extract<Preparation, { mint: unknown }>['uses'],
): Promise<LookOutcome> {
  const { store, clock, log } = context;
  const error = describe(thrown);
  const facts = thrown instanceof WechatError ? thrown.facts : undefined;
  const mayHaveMinted = facts?.mayHaveRun ?? true;
  const failures = record.failures + 1;
  const delay = retryDelayMs(
    {
      class: facts?.class ?? 'bug',
      errcode: facts?.errcode,
      failures,
      urgent: freshness.state !== 'due',
      mayHaveMinted,
    },
    clock.random(),
  );
  const now = clock.now();
  const retryAt = now + delay;
  await failMint(store, id, { operation, now, error, retryAt, mayHaveMinted });
  const fields = {
    kind: id.kind,
    subject: id.subject,
    reason,
    state: freshness.state,
    failures,
    failure: error,
    next_try_at: new Date(retryAt).toISOString(),
    ...(facts === undefined ? { error: thrown } : {}),
  };
  if (needsPerson(error.class, freshness.state, failures)) {
    log.error('refresh failed: a person should look', fields);
  } else log.warn('refresh failed, trying again', fields);
  const deadParent =
    facts?.class === 'token' && uses !== undefined
      ? { deadParent: { id: { kind: uses.kind, subject: id.subject }, seq: uses.seq } }
      : {};
  return { did: 'failed', until: retryAt, error, ...deadParent };
}

/** What is tried again by itself while a live value is served needs nobody. */
function needsPerson(errorClass: string, state: Freshness['state'], failures: number): boolean {
  if (!['retry', 'rate', 'token', 'ticket'].includes(errorClass)) return true;
  if (state === 'urgent' || state === 'expired') return true;
  return state === 'missing' && failures >= 3;
}

function describe(thrown: unknown): StoredError {
  if (!(thrown instanceof WechatError)) {
    return {
      class: 'bug',
      message: 'an unexpected fault inside wxkeeper',
      advice: 'Look in the log for this moment and report it.',
    };
  }
  const { class: cls, advice, errcode, rid } = thrown.facts;
  return {
    class: cls,
    message: thrown.message,
    advice,
    ...(errcode === undefined ? {} : { errcode }),
    ...(rid === undefined ? {} : { rid }),
  };
}
