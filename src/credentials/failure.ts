import type { CredentialId } from '../store/keys.ts';
import { failMint, type CredentialRecord, type StoredError } from '../store/records.ts';
import { WechatError } from '../wechat/api.ts';
import type { Freshness } from './freshness.ts';
import type { CredentialKind, Preparation } from './kinds/kind.ts';
import type { LookOutcome, LookReason, RefreshContext } from './look.ts';
import { retryDelayMs } from './retry.ts';

/** What is done about a mint that failed. */

/**
 * Logs a mint that failed, stores the failure where all replicas see it and gives the lock back.
 * @throws KeeperError `store_unavailable`
 */
export async function recordFailure(
  context: RefreshContext,
  { id, kind, reason }: { id: CredentialId; kind: CredentialKind; reason: LookReason },
  begun: { record: CredentialRecord; freshness: Freshness; operation: string },
  thrown: unknown,
  uses: Extract<Preparation, { mint: unknown }>['uses'],
): Promise<LookOutcome> {
  const { record, freshness, operation } = begun;
  const { store, clock, log } = context;
  const error = describe(thrown);
  const facts = thrown instanceof WechatError ? thrown.facts : undefined;
  // A single-use value that got lost harms nobody: another one does not end it.
  const mayHaveMinted = (facts?.mayHaveRun ?? true) && !kind.singleUse;
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
  const fields = {
    ...{ kind: id.kind, subject: id.subject, reason, state: freshness.state, failures },
    failure: error,
    next_try_at: new Date(retryAt).toISOString(),
    ...(facts === undefined ? { error: thrown } : {}),
  };
  const odd = facts?.fault === 'bad_value';
  if (odd || needsPerson(error.class, freshness.state, failures)) {
    log.error('refresh failed: a person should look', fields);
  } else log.warn('refresh failed, trying again', fields);
  await failMint(store, id, { operation, now, error, retryAt, mayHaveMinted });
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
