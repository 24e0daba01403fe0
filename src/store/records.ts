import { onRedis } from './redis.ts';
import { loadScript, runScript } from './scripts.ts';
import type { CredentialId } from './keys.ts';
import type { Store } from './store.ts';

/**
 * The record of one credential: its value, when it ends, and what the refresh protocol needs.
 * The scripts in `scripts/` are the only writers; their headers are the reference.
 */

/** Entries of refresh history kept per record: a week of pre_auth_codes at three an hour. */
const HISTORY_LENGTH = 600;
/** Milliseconds: no failure asks for more patience, so more than this is a clock gone wrong. */
export const MAX_BACKOFF_MS = 3_660_000;
/** Milliseconds before a doubt about the order of mints is settled: a call may still execute. */
export const SETTLE_MS = 10_000;
/** Milliseconds of life that a single-use value must have left to be worth handing out. */
const MIN_TAKEN_LIFE_MS = 1_000;

/** Why the last mint failed, in words a person can act on. Never holds a secret. */
export interface StoredError {
  class: string;
  message: string;
  advice: string;
  errcode?: number;
  rid?: string;
}

export interface CredentialRecord {
  /** Undefined until the first mint. */
  value: string | undefined;
  seq: number;
  expiresAt: number;
  obtainedAt: number;
  /** A single-use value that was given to somebody. */
  taken: boolean;
  /** WeChat may have issued a newer value than the stored one. */
  suspect: boolean;
  /** Failures in a row since the last success. */
  failures: number;
  /** Epoch ms before which nobody tries again; 0 when nothing failed. */
  retryAt: number;
  lastError: StoredError | undefined;
  lastErrorAt: number | undefined;
  /** Why the value was minted, and by which replica. */
  reason: string | undefined;
  replica: string | undefined;
}

export type BeginResult =
  | { outcome: 'granted'; begin: number }
  | { outcome: 'locked'; leftMs: number }
  | { outcome: 'backoff'; until: number }
  | { outcome: 'changed' };

export interface HistoryEntry {
  obtainedAt: number;
  expiresAt: number;
  seq: number;
  reason: string;
  replica: string;
}

/** As `commit-mint.lua` writes it. */
interface StoredHistoryEntry {
  obtained_at: number;
  expires_at: number;
  seq: number;
  reason: string;
  replica: string;
}

const scripts = {
  begin: loadScript('begin-mint'),
  commit: loadScript('commit-mint'),
  fail: loadScript('fail-mint'),
  take: loadScript('take-value'),
};

/** @throws KeeperError `store_unavailable` */
export async function readRecord(store: Store, id: CredentialId): Promise<CredentialRecord> {
  const [hash, mirrored] = await onRedis(() =>
    Promise.all([
      store.redis.hgetall(store.keys.record(id)),
      store.redis.get(store.keys.mirror(id)),
    ]),
  );
  return {
    value: hash.value,
    seq: Number(hash.seq ?? 0),
    expiresAt: Number(hash.expires_at ?? 0),
    obtainedAt: Number(hash.obtained_at ?? 0),
    // A service takes a single-use value by GETDEL on the mirror, which leaves only this trace.
    taken: hash.taken_at !== undefined || mirrored !== hash.value,
    suspect: hash.suspect !== undefined,
    failures: Number(hash.failures ?? 0),
    retryAt: Number(hash.retry_at ?? 0),
    lastError:
      hash.last_error === undefined ? undefined : (JSON.parse(hash.last_error) as StoredError),
    lastErrorAt: hash.last_error_at === undefined ? undefined : Number(hash.last_error_at),
    reason: hash.reason,
    replica: hash.replica,
  };
}

/**
 * Asks for the right to mint. `judgedSeq` is the seq of the record on which the decision was made.
 * @throws KeeperError `store_unavailable`
 */
export async function beginMint(
  store: Store,
  id: CredentialId,
  request: {
    operation: string;
    now: number;
    leaseMs: number;
    judgedSeq: number;
    ignoreBackoff: boolean;
  },
): Promise<BeginResult> {
  const { operation, now, leaseMs, judgedSeq, ignoreBackoff } = request;
  const [outcome, number] = (await onRedis(() =>
    runScript(
      store.redis,
      scripts.begin,
      [store.keys.record(id)],
      [operation, now, leaseMs, judgedSeq, ignoreBackoff ? '1' : '0', MAX_BACKOFF_MS],
    ),
  )) as ['granted' | 'locked' | 'changed' | 'backoff', number];
  switch (outcome) {
    case 'granted':
      return { outcome, begin: number };
    case 'changed':
      return { outcome };
    case 'locked':
      return { outcome, leftMs: number };
    case 'backoff':
      return { outcome, until: number };
  }
}

/**
 * Stores a minted value and gives the lock back. `overlapped` means another mint was committed
 * after this one began: the stored value stays, and one more mint will settle which is newer.
 * @throws KeeperError `store_unavailable`; repeating the call is safe
 */
export async function commitMint(
  store: Store,
  id: CredentialId,
  mint: {
    operation: string;
    begin: number;
    value: string;
    now: number;
    obtainedAt: number;
    expiresAt: number;
    reason: string;
    replica: string;
    /** An earlier try of the same call may have minted too: one more mint must settle it. */
    doubtful: boolean;
  },
): Promise<{ outcome: 'stored' | 'overlapped'; seq: number }> {
  const [outcome, seq] = (await onRedis(() =>
    runScript(
      store.redis,
      scripts.commit,
      [store.keys.record(id), store.keys.mirror(id), store.keys.history(id)],
      [
        mint.operation,
        mint.begin,
        mint.value,
        mint.expiresAt,
        mint.obtainedAt,
        mint.expiresAt - mint.now,
        mint.reason,
        mint.replica,
        HISTORY_LENGTH,
        store.keys.rotations,
        id.kind,
        id.subject,
        mint.doubtful ? '1' : '0',
        mint.now + SETTLE_MS,
      ],
    ),
  )) as ['stored' | 'overlapped', number];
  return { outcome, seq };
}

/**
 * Gives the lock back after a mint that brought nothing; the stored value stays as it is.
 * @throws KeeperError `store_unavailable`
 */
export async function failMint(
  store: Store,
  id: CredentialId,
  failure: {
    operation: string;
    now: number;
    error: StoredError;
    retryAt: number;
    mayHaveMinted: boolean;
  },
): Promise<void> {
  const { operation, now, error, retryAt, mayHaveMinted } = failure;
  await onRedis(() =>
    runScript(
      store.redis,
      scripts.fail,
      [store.keys.record(id)],
      [operation, now, JSON.stringify(error), Math.round(retryAt), mayHaveMinted ? '1' : '0'],
    ),
  );
}

/**
 * Takes a single-use value, which nobody else will be given.
 * @throws KeeperError `store_unavailable`
 */
export async function takeValue(
  store: Store,
  id: CredentialId,
  now: number,
): Promise<{ value: string; expiresAt: number; seq: number; obtainedAt: number } | undefined> {
  const taken = (await onRedis(() =>
    runScript(
      store.redis,
      scripts.take,
      [store.keys.record(id), store.keys.mirror(id)],
      [now, now + MIN_TAKEN_LIFE_MS],
    ),
  )) as [string, string, string, string] | null;
  if (taken === null) return undefined;
  const [value, expiresAt, seq, obtainedAt] = taken;
  return {
    value,
    expiresAt: Number(expiresAt),
    seq: Number(seq),
    obtainedAt: Number(obtainedAt),
  };
}

/** Newest first. @throws KeeperError `store_unavailable` */
export async function readHistory(store: Store, id: CredentialId): Promise<HistoryEntry[]> {
  const entries = await onRedis(() => store.redis.lrange(store.keys.history(id), 0, -1));
  return entries.map((json) => {
    const entry = JSON.parse(json) as StoredHistoryEntry;
    const { obtained_at: obtainedAt, expires_at: expiresAt, seq, reason, replica } = entry;
    return { obtainedAt, expiresAt, seq, reason, replica };
  });
}
