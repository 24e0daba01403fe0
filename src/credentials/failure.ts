import { iso } from '../lib/time-format.ts';
import { failMint } from '../store/credentials/mint.ts';
import type { StoredError } from '../store/credentials/stored-error.ts';
import { WechatError } from '../wechat/client.ts';
import { healedBy, type ErrorClass } from '../wechat/errcodes.ts';
import { describeCall } from '../wechat/failure.ts';
import { ownError } from './error-words.ts';
import { isLive, type Freshness } from './freshness.ts';
import {
  type Attempt,
  type Begun,
  type RefreshOutcome,
  type RefreshContext,
  type Target,
} from './refresh-types.ts';
import { retryDelayMs } from './retry-delay.ts';

/** What is done about a mint that failed. */

/** This process stood still between begin and call: its lock may be somebody else's by now. */
export class PausedError extends Error {
  constructor() {
    super('the process was paused before the call');
    this.name = 'PausedError';
  }
}

/** Milliseconds until what can be tried otherwise is tried. */
const TRY_AGAIN_MS = 1_000;

/**
 * Logs a mint that failed, stores the failure where all replicas see it and gives the lock back.
 * @throws KeeperError `store_unavailable`
 */
export async function recordFailure(
  context: RefreshContext,
  target: Target,
  { reason }: Attempt,
  begun: Begun,
  thrown: unknown,
): Promise<RefreshOutcome> {
  const { id, kind } = target;
  const { record, freshness, operation, kindContext } = begun;
  const { store, clock, log } = context;
  const error = describeFailure(thrown);
  const facts = thrown instanceof WechatError ? thrown.facts : undefined;
  const paused = thrown instanceof PausedError;
  // A single-use value that got lost harms nobody: another one does not end it.
  const mayHaveMinted = (facts?.mayHaveRun ?? !paused) && !kind.singleUse;
  const failures = record.failures + 1;
  const otherwise =
    thrown instanceof WechatError ? await target.afterRefusal(kindContext, thrown) : undefined;
  const before = record.failures > 0 ? record.lastError?.class : undefined;
  const usualDelay = retryDelayMs(
    {
      class: otherwise === 'try_soon' ? 'retry' : error.class,
      errcode: facts?.errcode,
      failures,
      again: error.class === before && otherwise !== 'once_more',
      urgent: freshness.state !== 'due',
      mayHaveMinted,
      liveMs: isLive(freshness.state) ? record.expiresAt - record.readAt : 0,
      now: store.time.now(),
    },
    clock.random(),
  );
  const retryInMs = otherwise === 'try_again' || paused ? TRY_AGAIN_MS : usualDelay;
  const until = store.time.now() + retryInMs;
  const fields = {
    kind: id.kind,
    subject: id.subject,
    reason,
    state: freshness.state,
    failures,
    failure: error,
    next_try_at: iso(until),
    ...(facts === undefined && !paused ? { error: thrown } : {}),
  };
  const odd = facts?.fault === 'bad_value';
  if (otherwise === undefined && (odd || needsPerson(error.class, freshness.state, failures))) {
    log.error('refresh failed: a person should look', fields);
  } else log.warn('refresh failed, trying again', fields);
  const noted = await failMint(store, id, { operation, error, retryInMs, mayHaveMinted });
  // The record is another mint's by now, or a newer authorization's: nothing waits for this one.
  if (noted === 'not_ours') return { did: 'locked', until: store.time.now() };
  const deadParentSeq = facts?.class === 'token' ? begun.parentSeq : undefined;
  return { did: 'failed', until, error, deadParentSeq };
}

/** What is tried again by itself while a live value is served needs nobody. */
function needsPerson(errorClass: string, state: Freshness['state'], failures: number): boolean {
  if (healedBy(errorClass) !== 'itself') return true;
  if (state === 'urgent' || state === 'expired') return true;
  return state === 'missing' && failures >= 3;
}

/** What is kept of a failure, and shown of it. */
export function describeFailure(thrown: unknown): StoredError & { class: ErrorClass } {
  if (thrown instanceof PausedError) return ownError('retry', 'paused');
  if (!(thrown instanceof WechatError)) return ownError('bug', 'unexpected');
  const { class: cls, fault, api, errcode, rid, address, field, undocumented } = thrown.facts;
  const { message, advice } = describeCall(thrown.facts);
  const words = { message: message.en, advice: advice.en };
  return { class: cls, fault, api, errcode, rid, address, field, undocumented, ...words };
}
