import { sleep, type Clock } from '../lib/clock.ts';
import { KeeperError, type ErrorCode } from '../lib/errors.ts';
import type { CredentialId } from '../store/redis/keys.ts';
import { readRecord } from '../store/credentials/record.ts';
import { REFUSAL_INTERVAL_MS } from '../store/credentials/invalidate.ts';
import { explainErrcode } from '../wechat/errcodes.ts';
import { readRepaired } from './read-repair.ts';
import type { CredentialKind } from './kinds/kind.ts';
import { readCredential, within, type Credential, type ReadContext } from './read.ts';
import { noteInvalid } from './note-invalid.ts';
import type { RefreshTrigger } from './refresh-types.ts';

/**
 * Passive refresh: a service says that WeChat refused the value with this seq. Any number of such
 * complaints, at any number of replicas, leads to at most one mint.
 */

/** Milliseconds a caller waits: one whole call to WeChat fits in. */
const DEADLINE_MS = 9_000;
/** Milliseconds between looks at a record that another process is refreshing. */
const POLL_MS = 200;
/** Complaints a minute that one caller may make in vain. */
const MAX_VAIN_PER_MINUTE = 10;
const MINUTE_MS = 60_000;

export interface InvalidTokenReport {
  /** The seq that the caller used; undefined asks for another value whatever is stored. */
  seq: number | undefined;
  /** What WeChat said; undefined when a person asks. */
  errcode: number | undefined;
  /** The id of the caller's API key. */
  caller: string;
  /** Whether this caller may be told the value, as by reading it. */
  mayRead: boolean;
}

export interface ReportAnswer {
  outcome: 'refreshed' | 'already_newer' | 'throttled';
  current: Credential;
  /** Seconds after which complaining again can help; only when throttled. */
  retryAfterSeconds: number | undefined;
}

/** Counts the complaints that came too soon, per caller. */
export interface ReportLimit {
  isSpent(caller: string): boolean;
  /** @throws KeeperError `too_many_requests` */
  check(caller: string): void;
  count(caller: string): void;
}

export function createReportLimit(clock: Clock): ReportLimit {
  const callers = new Map<string, { since: number; count: number }>();
  const current = (caller: string) => {
    const known = callers.get(caller);
    if (known !== undefined && clock.monotonic() - known.since < MINUTE_MS) return known;
    const fresh = { since: clock.monotonic(), count: 0 };
    callers.set(caller, fresh);
    return fresh;
  };
  const isSpent = (caller: string) => current(caller).count >= MAX_VAIN_PER_MINUTE;
  return {
    isSpent,
    check(caller) {
      if (!isSpent(caller)) return;
      const { since } = current(caller);
      const retryAfterSeconds = Math.ceil((since + MINUTE_MS - clock.monotonic()) / 1000);
      const message = 'Too many complaints about values that were just minted; wait as told.';
      throw new KeeperError('too_many_requests', message, { retryAfterSeconds });
    },
    count(caller) {
      current(caller).count += 1;
    },
  };
}

export interface ReportContext extends ReadContext {
  complaints: ReportLimit;
  /** Called with how a complaint was answered, or the code of the error. */
  onComplaint?: (outcome: ReportAnswer['outcome'] | ErrorCode | 'bug') => void;
}

/**
 * Answers a complaint with the current value, a newer one if there is one or can be had.
 * @throws KeeperError `not_found`, `bad_request`, `too_many_requests`, and whatever reading throws
 */
export async function reportInvalid(
  context: ReportContext,
  id: CredentialId,
  complaint: InvalidTokenReport,
): Promise<ReportAnswer> {
  try {
    const answer = await answerReport(context, id, complaint);
    context.onComplaint?.(answer.outcome);
    return answer;
  } catch (error) {
    context.onComplaint?.(error instanceof KeeperError ? error.code : 'bug');
    throw error;
  }
}

async function answerReport(
  context: ReportContext,
  id: CredentialId,
  complaint: InvalidTokenReport,
): Promise<ReportAnswer> {
  const { store, clock, complaints } = context;
  const kind = kindToReject(context, id, complaint);
  const record = await readRepaired(context, { id, kind });
  await assertIssued(context, id, complaint, record.seq);
  const seq = complaint.seq ?? record.seq;
  const asked = complaint.errcode === undefined;
  const live = record.value !== undefined && record.expiresAt > record.readAt;
  if (asked && !live) {
    // There is nothing to put an end to, and a reason to call WeChat all the same.
    await within(clock, DEADLINE_MS, context.keeper.ensureFresh(id, 'forced'));
    const current = await readCredential(context, id);
    return { outcome: 'refreshed', current, retryAfterSeconds: undefined };
  }
  const refusal = await noteInvalid(context, id, {
    seq,
    by: { caller: complaint.caller, errcode: complaint.errcode },
    ownDoing: asked,
    quiet: complaints.isSpent(complaint.caller),
  });
  // Whoever shares a key with somebody mistaken still gets a newer value, and reports a fresh death.
  if (refusal.outcome === 'throttled' || refusal.outcome === 'joined') {
    complaints.check(complaint.caller);
  }
  if (refusal.outcome === 'throttled') {
    complaints.count(complaint.caller);
    return throttled(context, id, (refusal.until - store.time.now()) / 1000);
  }
  if (refusal.outcome !== 'other') {
    const giveUpAt = clock.monotonic() + DEADLINE_MS;
    const waitSeconds = await refreshBefore(
      context,
      id,
      seq,
      asked ? 'forced' : 'refused',
      giveUpAt,
    );
    if (waitSeconds !== undefined) {
      complaints.count(complaint.caller);
      return throttled(context, id, waitSeconds);
    }
  }
  const current = await readCredential(context, id);
  const outcome = refusal.outcome === 'other' ? 'already_newer' : 'refreshed';
  return { outcome, current, retryAfterSeconds: undefined };
}

/**
 * A complaint is about a value that the caller has been given. A seq that none ever had is no complaint
 * but a way to fish for the current value. One above the current may have been lost by Redis, with its
 * value: who may read gets the current one, as by reading.
 * @throws KeeperError `bad_request`, and whatever reading throws while nothing was issued at all
 */
async function assertIssued(
  context: ReportContext,
  id: CredentialId,
  { seq, mayRead }: InvalidTokenReport,
  newest: number,
): Promise<void> {
  if (seq === undefined || (seq >= 1 && (seq <= newest || mayRead))) return;
  // Why there is none yet says more than that it was never given out.
  if (newest === 0) await readCredential(context, id);
  const message = `No value with seq ${seq} was given out here: read the value and its seq anew.`;
  throw new KeeperError('bad_request', message);
}

/** @throws KeeperError `not_found`, `bad_request` when the complaint makes no sense */
function kindToReject(
  { keeper }: ReportContext,
  id: CredentialId,
  { errcode }: InvalidTokenReport,
): CredentialKind {
  const kind = keeper.kindOf(id);
  if (kind === undefined) throw new KeeperError('not_found', 'No such credential is kept here.');
  if (kind.singleUse) {
    const message = `A ${id.kind} is used once: read another one instead.`;
    throw new KeeperError('bad_request', message);
  }
  const ticket = id.kind === 'jsapi_ticket' || id.kind === 'wx_card_ticket';
  // A bad signature with a ticket has no errcode that would tell a dead ticket from a wrong sum.
  if (errcode === undefined || ticket || explainErrcode(errcode, false).class === 'token') {
    return kind;
  }
  const message = `errcode ${errcode} does not mean that the value is dead; 40001, 40014 and 42001 do.`;
  throw new KeeperError('bad_request', message);
}

/**
 * Waits until the value with this seq has a successor.
 * @returns the seconds to wait when it has none, be it that WeChat stands by the value
 */
async function refreshBefore(
  { store, clock, keeper }: ReportContext,
  id: CredentialId,
  seq: number,
  reason: RefreshTrigger,
  giveUpAt: number,
): Promise<number | undefined> {
  for (;;) {
    const left = giveUpAt - clock.monotonic();
    const outcome =
      left <= 0 ? undefined : await within(clock, left, keeper.ensureFresh(id, reason));
    const record = await readRecord(store, id);
    if (record.seq !== seq) return undefined;
    if (!record.refused) {
      const { refusedAt = record.readAt } = record;
      return (refusedAt + REFUSAL_INTERVAL_MS - record.readAt) / 1000;
    }
    if (outcome === undefined) return 2;
    if (outcome.did === 'blocked') return outcome.error.retryAfterSeconds ?? 60;
    if (outcome.did === 'waited' || outcome.did === 'failed') {
      return (outcome.until - store.time.now()) / 1000;
    }
    await sleep(clock, POLL_MS);
  }
}

async function throttled(
  context: ReportContext,
  id: CredentialId,
  seconds: number,
): Promise<ReportAnswer> {
  const current = await readCredential(context, id);
  return {
    outcome: 'throttled',
    current,
    retryAfterSeconds: Math.max(1, Math.ceil(seconds)),
  };
}
