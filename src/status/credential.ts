import { ownError } from '../credentials/error-words.ts';
import { isLive, judgeFreshness, windowOf } from '../credentials/freshness.ts';
import type { Target } from '../credentials/refresh-types.ts';
import {
  emptyRecord,
  readHistory,
  readRecord,
  SpoiledRecordError,
  type CredentialRecord,
} from '../store/credentials/record.ts';
import { describeRefusedBy } from '../store/credentials/refused-by.ts';
import type { StoredError } from '../store/credentials/stored-error.ts';
import type { Store } from '../store/redis/store.ts';
import { summarizeHistory } from './history.ts';
import { iso, isoOrNull, seconds } from '../lib/time-format.ts';
import type { StoredStatus } from './context.ts';
import type { CredentialStatus } from './schema.ts';

/** One credential as an admin sees it: never its value. */

/** What is known of a credential, before there are words in any language for its last error. */
export interface FoundCredential extends Omit<CredentialStatus, 'last_error'> {
  last_error: (StoredError & { at: string | null }) | null;
}

/** @throws KeeperError `store_unavailable` */
export async function describeCredential(
  context: StoredStatus,
  target: Target,
): Promise<FoundCredential> {
  const { store, windowMs } = context;
  const { id, kind, budget } = target;
  const [record, history] = await Promise.all([read(store, target), readHistory(store, id)]);
  const now = record.readAt;
  const { state, reason, dueAt } = judgeFreshness(
    record,
    now,
    windowOf(id, windowMs),
    kind.singleUse,
  );
  const obtained = record.value !== undefined;
  return {
    kind: id.kind,
    state,
    reason,
    live: isLive(state),
    seq: record.seq,
    obtained_at: obtained ? iso(record.obtainedAt) : null,
    age_seconds: obtained ? seconds(now - record.obtainedAt) : null,
    expires_at: obtained ? iso(record.expiresAt) : null,
    expires_in: obtained ? Math.max(0, seconds(record.expiresAt - now)) : null,
    due_at: obtained ? iso(dueAt) : null,
    next_refresh_at: isoOrNull(nextRefresh(context, id.kind, record, Math.max(now, dueAt))),
    obtained_by: record.replica ?? null,
    obtained_because: record.reason ?? null,
    calls_today: record.callsToday,
    calls_allowed_a_day: budget.dailyCalls === 0 ? null : budget.dailyCalls,
    failures_in_a_row: record.failures,
    last_error:
      record.lastError === undefined
        ? null
        : { at: isoOrNull(record.lastErrorAt), ...record.lastError },
    quarantined_until: record.quarantineUntil > now ? iso(record.quarantineUntil) : null,
    last_refused:
      record.refusedAt === undefined
        ? null
        : {
            at: iso(record.refusedAt),
            by: record.refusedBy === undefined ? null : describeRefusedBy(record.refusedBy),
          },
    foreign_refresher_since: isoOrNull(record.foreignSince),
    history: summarizeHistory(history),
  };
}

function nextRefresh(
  { self }: StoredStatus,
  kind: string,
  { readAt, retryAt, quarantineUntil }: CredentialRecord,
  earliest: number,
): number {
  const held = Math.max(retryAt, quarantineUntil);
  return held > readAt ? held : (self?.nextTick(kind, earliest) ?? earliest);
}

async function read(store: Store, { id }: Target): Promise<CredentialRecord> {
  try {
    return await readRecord(store, id);
  } catch (error) {
    if (!(error instanceof SpoiledRecordError)) throw error;
    // The next look puts it aside and makes it anew; until then it is as good as none.
    const now = store.time.now();
    return {
      ...emptyRecord(now),
      failures: 1,
      lastError: ownError('retry', 'record_edited'),
      lastErrorAt: now,
    };
  }
}
