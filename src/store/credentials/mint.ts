import { loadRecordScript, runRecordScript } from '../redis/scripts.ts';
import type { CredentialId } from '../redis/keys.ts';
import {
  readStored,
  SpoiledRecordError,
  type CredentialRecord,
  type StoredRecord,
} from './record.ts';
import type { StoredError } from './stored-error.ts';
import { encryptToken } from '../redis/encryption-keys.ts';
import type { Store } from '../redis/store.ts';

/**
 * The steps of a mint as Redis sees them: begin, then commit or fail. Each is one script, atomic and
 * safe to repeat; the headers of the scripts explain the protocol.
 */

/** Entries of refresh history kept per record: a week of pre_auth_codes at three an hour. */
const HISTORY_LENGTH = 600;
/** The same for each of perhaps 100,000 authorizers: a day. */
const AUTHORIZER_HISTORY_LENGTH = 12;
/** Milliseconds a lock lasts: longer than the longest call to WeChat plus the commit. */
export const LEASE_MS = 20_000;
/** Milliseconds after which a mint that has reported nothing can no longer be under way. */
const INTENT_MS = 60_000;
/**
 * Milliseconds nobody begins after Redis lost its memory. A call begun before is over by then: 2 s until
 * it is sent, 8 s until it is given up, 10 s in which it may still execute.
 */
export const QUARANTINE_MS = 25_000;
/** Milliseconds for which a call that was given up may still execute at WeChat. */
export const SETTLE_MS = 10_000;
/** Milliseconds: no failure asks for more patience, so more than this is a clock gone wrong. */
export const MAX_BACKOFF_MS = 3_660_000;
/** Milliseconds: half of two hours, the life of most values. */
const DEFAULT_HALF_LIFE_MS = 3_600_000;

/** What may be spent on one record; nothing gets past it. */
export interface MintBudget {
  /** Mints at once, and again in each half life, when no live value is left, or soon none. */
  most: number;
  /** The same while the value would live on. */
  spare: number;
  /** Calls a day that WeChat allows, 0 when unknown; at 90 % only needed ones are made. */
  dailyCalls: number;
}

export type Refusal = 'locked' | 'unresolved' | 'quarantined' | 'settling' | 'backoff';

export type BeginResult =
  | { outcome: 'granted'; begin: number; epoch: string }
  | { outcome: 'changed' }
  | { outcome: Refusal; until: number }
  /** `news`: the budget is spent, and nobody has said so yet. */
  | { outcome: 'throttled'; until: number; news: boolean };

const scripts = {
  begin: loadRecordScript('credentials/begin-mint'),
  commit: loadRecordScript('credentials/commit-mint'),
  fail: loadRecordScript('credentials/fail-mint'),
  endQuotaWait: loadRecordScript('credentials/end-quota-wait'),
};

/**
 * Asks for the right to mint. `judgedSeq` is the seq of the record on which the decision was made.
 * @throws KeeperError `store_unavailable`
 */
export async function beginMint(
  store: Store,
  id: CredentialId,
  request: {
    operation: string;
    judgedSeq: number;
    ignoreBackoff: boolean;
    /** No live value is left, or soon none. */
    needed: boolean;
    budget: MintBudget;
  },
): Promise<BeginResult> {
  const { operation, judgedSeq, ignoreBackoff, needed, budget } = request;
  const [outcome, number, third] = (await runRecordScript(
    store,
    scripts.begin,
    [store.keys.record(id)],
    {
      operation,
      judged_seq: judgedSeq,
      lease_ms: LEASE_MS,
      intent_ms: INTENT_MS,
      quarantine_ms: QUARANTINE_MS,
      settle_ms: SETTLE_MS,
      longest_backoff_ms: MAX_BACKOFF_MS,
      ignore_backoff: ignoreBackoff,
      needed,
      max_mints: budget.most,
      max_spare_mints: budget.spare,
      half_life_ms: DEFAULT_HALF_LIFE_MS,
      daily_calls: budget.dailyCalls,
    },
  )) as ['granted' | 'changed' | 'throttled' | Refusal, number, string | number];
  if (outcome === 'granted') return { outcome, begin: number, epoch: String(third) };
  if (outcome === 'throttled') return { outcome, until: number, news: third === 1 };
  if (outcome === 'changed') return { outcome };
  return { outcome, until: number };
}

/** A value that WeChat issued, and how it came about. */
export interface MintedValue {
  operation: string;
  value: string;
  lifeMs: number;
  /** Since the call to WeChat started: a life counted from then can only be too short. */
  ageMs: number;
  reason: string;
  replica: string;
}

export interface MintToCommit extends MintedValue {
  begin: number;
  epoch: string;
  /** An earlier try of the same call may have minted too: one more mint must settle it. */
  doubtful: boolean;
  singleUse: boolean;
  /** Authorizers only: the authorization this was minted under, and the refresh token it brought. */
  authEpoch: number;
  refreshToken: string | undefined;
  /** The stored text of the one that it was minted with. */
  sentRefreshToken?: string | undefined;
}

export interface CommitResult {
  outcome: 'stored' | 'overlapped' | 'superseded';
  seq: number;
  expiresAt: number;
  /** As it stands once the value is stored; undefined when it is not, or a person has spoiled the record. */
  record: CredentialRecord | undefined;
}

/**
 * Stores a minted value and gives the lock back. `overlapped`: another mint was committed after this
 * one began; the stored value stays, and one more mint will settle which is newer. `superseded`: the
 * authorization behind it has ended or changed; the value is not stored. In any case the refresh token is,
 * if the stored one is still the one that was sent.
 * @throws KeeperError `store_unavailable`; repeating the call is safe
 */
export async function commitMint(
  store: Store,
  id: CredentialId,
  mint: MintToCommit,
): Promise<CommitResult> {
  const { begin, epoch, doubtful, singleUse, authEpoch, refreshToken, sentRefreshToken } = mint;
  const [outcome, seq, expiresAt, stored] = (await runRecordScript(
    store,
    scripts.commit,
    [store.keys.record(id), store.keys.mirror(id), store.keys.history(id)],
    {
      ...valueArguments(store, id, mint),
      begin,
      epoch,
      doubtful,
      single_use: singleUse,
      auth_epoch: authEpoch,
      refresh_token: await encryptToken(store, id, refreshToken),
      sent_refresh_token: sentRefreshToken,
      settle_ms: SETTLE_MS,
    },
  )) as [CommitResult['outcome'], number, number, StoredRecord?];
  return { outcome, seq, expiresAt, record: stored && unlessSpoiled(store, id, stored) };
}

/** That a person has spoiled the record is for its next reader to see: the commit itself is done. */
function unlessSpoiled(store: Store, id: CredentialId, stored: StoredRecord) {
  try {
    return readStored(store, id, stored);
  } catch (error) {
    if (error instanceof SpoiledRecordError) return undefined;
    throw error;
  }
}

/** What `store_value` in `record.lua` takes. */
export function valueArguments(
  { keys }: Store,
  { kind, subject }: CredentialId,
  value: MintedValue,
) {
  return {
    operation: value.operation,
    value: value.value,
    kind,
    subject,
    life_ms: Math.round(value.lifeMs),
    age_ms: Math.round(value.ageMs),
    reason: value.reason,
    replica: value.replica,
    history_length: kind === 'authorizer_access_token' ? AUTHORIZER_HISTORY_LENGTH : HISTORY_LENGTH,
    channel: keys.rotations,
  };
}

/**
 * Gives the lock back after a mint that brought nothing; the stored value stays as it is.
 * `not_ours`: the lock had gone to somebody else, or an authorization has begun anew.
 * @throws KeeperError `store_unavailable`
 */
export async function failMint(
  store: Store,
  id: CredentialId,
  failure: {
    operation: string;
    error: StoredError;
    retryInMs: number;
    mayHaveMinted: boolean;
  },
): Promise<'noted' | 'not_ours'> {
  const failures = await runRecordScript(store, scripts.fail, [store.keys.record(id)], {
    operation: failure.operation,
    error: JSON.stringify(failure.error),
    retry_in_ms: Math.round(failure.retryInMs),
    maybe: failure.mayHaveMinted,
    settle_ms: SETTLE_MS,
  });
  return failures === -1 ? 'not_ours' : 'noted';
}

/**
 * Notes that the quota was cleared from which this mint was refused: it need not be waited for.
 * @returns whether it was waited for
 * @throws KeeperError `store_unavailable`
 */
export async function endQuotaWait(store: Store, id: CredentialId): Promise<boolean> {
  return (await runRecordScript(store, scripts.endQuotaWait, [store.keys.record(id)], {})) === 1;
}
