import { isWrongType, onDisplayKey, onRedis, parseDisplay } from '../redis/connection.ts';
import { loadRecordScript, runRecordScript } from '../redis/scripts.ts';
import type { CredentialId } from '../redis/keys.ts';
import { isEncrypted } from '../redis/token-encryption.ts';
import type { Store } from '../redis/store.ts';
import { parseRefusedBy, type RefusedBy } from './refused-by.ts';
import { storedError, type StoredError } from './stored-error.ts';

/**
 * The record of one credential as it is read: its value, when it ends, and what the refresh protocol
 * needs. The scripts here and in `authorizers/` are the only writers; their headers are the reference.
 * All times are epoch ms by the store's clock.
 */

/** Milliseconds of life that a single-use value must have left to be worth handing out. */
const MIN_TAKEN_LIFE_MS = 1_000;

export interface CredentialRecord {
  /** The store's time at which this was read. */
  readAt: number;
  /** Stands for all that was read; undefined when time alone can change what it means. */
  digest: string | undefined;
  /** Undefined until the first mint. */
  value: string | undefined;
  seq: number;
  expiresAt: number;
  obtainedAt: number;
  /** When this value was obtained for the first time; WeChat repeats some. */
  valueSince: number;
  /** What readers of Redis find. */
  mirror: string | undefined;
  /** A single-use value that was given to somebody. */
  taken: boolean;
  /** WeChat may have issued a newer value than the stored one. */
  suspect: boolean;
  /** The only reason for that doubt: Redis restarted or failed over since the record was last begun. */
  suspectByEpochOnly: boolean;
  /** WeChat, or somebody who asked WeChat, called this value dead. */
  refused: boolean;
  refusedAt: number | undefined;
  refusedBy: RefusedBy | undefined;
  /** A person asked for another value, though nobody called this one dead. */
  forced: boolean;
  /** Since when somebody else has been minting with our secret. */
  foreignSince: number | undefined;
  /** Failures in a row since the last success. */
  failures: number;
  /** 0 when nothing failed. Until then nobody tries again. */
  retryAt: number;
  /** Why the last mint failed. */
  lastError: StoredError | undefined;
  lastErrorAt: number | undefined;
  /** Why the value was minted, and by which replica. */
  reason: string | undefined;
  replica: string | undefined;
  /** Calls to WeChat for this record since midnight in Beijing. */
  callsToday: number;
  /** After a failover or restart of Redis nobody mints until then. */
  quarantineUntil: number;
  /** Authorizers only. */
  refreshToken: string | undefined;
  /** As it stands in Redis, sealed or not: by this text a script tells whether it is still the same. */
  storedRefreshToken: string | undefined;
  /** The stored text when none of our keys opens it: neither absent nor to be overwritten. */
  unreadableRefreshToken: string | undefined;
  /** When WeChat says that it was authorized. */
  authorizedAt: number | undefined;
  revokedAt: number | undefined;
  /** `list`: WeChat's list and WeChat itself did not know the account any more. */
  revokedBy: string | undefined;
  reauthorizeAt: number | undefined;
  authEpoch: number;
  /** What restoring it takes. */
  clock: number;
  committed: number;
  committedOp: string | undefined;
  committedEpoch: string | undefined;
  halfLifeMs: number;
}

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

/** Somebody has written into a record what no script writes, or another type of key in its place. */
export class SpoiledRecordError extends Error {
  constructor() {
    super('a record was edited by hand');
    this.name = 'SpoiledRecordError';
  }
}

const readScript = loadRecordScript('credentials/read-record');
const takeScript = loadRecordScript('credentials/take-value');

const DAY_MS = 86_400_000;
/** WeChat counts by Beijing's day. */
const BEIJING_MS = 8 * 3_600_000;

/** As `whole` in `record.lua` gives it; without fields when the reader knows them. */
export type StoredRecord = [
  fields: string[] | null,
  mirror: string | null,
  now: number,
  epoch: string,
  digest: string,
];

/**
 * @param known what was read of this record before: when it still is as it was, it need not be sent again
 * @throws KeeperError `store_unavailable`, SpoiledRecordError
 */
export async function readRecord(
  store: Store,
  id: CredentialId,
  known?: CredentialRecord,
): Promise<CredentialRecord> {
  const keys = [store.keys.record(id), store.keys.mirror(id)];
  let answer;
  try {
    answer = await runRecordScript(store, readScript, keys, { known: known?.digest });
  } catch (error) {
    if (isWrongType(error)) throw new SpoiledRecordError();
    throw error;
  }
  return readStored(store, id, answer as StoredRecord, known);
}

/** @throws SpoiledRecordError */
export function readStored(
  store: Store,
  id: CredentialId,
  [sent, mirror, now, epoch, digest]: StoredRecord,
  known?: CredentialRecord,
): CredentialRecord {
  // Authorizers are on all shards of a cluster, whose clocks differ by a little.
  if (!id.subject.includes(':')) store.time.learn(now);
  if (sent === null && known !== undefined) return { ...known, readAt: now };
  const flat = sent ?? [];
  const fields: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) fields[flat[i] ?? ''] = flat[i + 1] ?? '';
  const tokens = openRefreshToken(store, id, fields.refresh_token);
  // Not by a copy of both: this is done at each read.
  return Object.assign(parseRecord(fields, mirror ?? undefined, { now, epoch, digest }), tokens);
}

const NUMBERS = new Set(
  (
    'seq expires_at obtained_at value_since clock committed failures retry_at suspect refused_at ' +
    'refused_seq counted_at foreign_since last_error_at day day_calls half_life_ms quarantine_until ' +
    'authorized_at revoked_at reauthorize_at auth_epoch budget_at budget_level spare_at spare_level ' +
    'settle_at lock_until lock_begin taken_at'
  ).split(' '),
);
const NUMBER = /^\d{1,15}$/;

/** @throws SpoiledRecordError */
function parseRecord(
  fields: Readonly<Record<string, string>>,
  mirror: string | undefined,
  { now, epoch, digest }: { now: number; epoch: string; digest: string | undefined },
): Omit<CredentialRecord, keyof ReturnType<typeof openRefreshToken>> {
  for (const name in fields) {
    if (NUMBERS.has(name) && !NUMBER.test(fields[name] ?? '')) throw new SpoiledRecordError();
  }
  const moment = (name: string) => (fields[name] === undefined ? undefined : Number(fields[name]));
  const number = (name: string) => moment(name) ?? 0;
  const { value } = fields;
  if (value !== undefined && (fields.expires_at === undefined || number('seq') === 0)) {
    throw new SpoiledRecordError();
  }
  const intents = parseIntents(fields.intents);
  const inDoubt = fields.suspect !== undefined || intents.some((overAt) => overAt <= now);
  const epochChanged = fields.epoch !== undefined && fields.epoch !== epoch;
  return {
    readAt: now,
    // An intent turns into a doubt when its time is over.
    digest: intents.length === 0 ? digest : undefined,
    value,
    mirror,
    seq: number('seq'),
    expiresAt: number('expires_at'),
    obtainedAt: number('obtained_at'),
    valueSince: number(fields.value_since === undefined ? 'obtained_at' : 'value_since'),
    // A service takes a single-use value by GETDEL on the mirror, which leaves only this trace.
    taken: fields.taken_at !== undefined || mirror !== value,
    suspect: inDoubt || epochChanged,
    suspectByEpochOnly: epochChanged && !inDoubt,
    refused: value !== undefined && fields.refused_seq === fields.seq,
    refusedAt: moment('refused_at'),
    refusedBy: fields.refused_by === undefined ? undefined : parseRefusedBy(fields.refused_by),
    forced: fields.forced !== undefined,
    foreignSince: moment('foreign_since'),
    failures: number('failures'),
    retryAt: number('retry_at'),
    lastError: parseError(fields.last_error),
    lastErrorAt: moment('last_error_at'),
    reason: fields.reason,
    replica: fields.replica,
    callsToday: number('day') === Math.floor((now + BEIJING_MS) / DAY_MS) ? number('day_calls') : 0,
    quarantineUntil: number('quarantine_until'),
    authorizedAt: moment('authorized_at'),
    revokedAt: moment('revoked_at'),
    revokedBy: fields.revoked_by,
    reauthorizeAt: moment('reauthorize_at'),
    authEpoch: number('auth_epoch'),
    clock: number('clock'),
    committed: number('committed'),
    committedOp: fields.committed_op,
    committedEpoch: fields.committed_epoch,
    halfLifeMs: number('half_life_ms'),
  };
}

function openRefreshToken(
  { encryption }: Store,
  { subject }: CredentialId,
  stored: string | undefined,
) {
  const refreshToken = stored === undefined ? undefined : encryption.open(stored, subject);
  // Accepted, for sealing may just have been switched on, and counted: somebody may have put it there.
  if (stored !== undefined && encryption.keys.length > 0 && !isEncrypted(stored))
    encryption.plain.add(subject);
  else encryption.plain.delete(subject);
  if (refreshToken !== undefined) encryption.misplaced.delete(subject);
  const unreadable = stored !== undefined && refreshToken === undefined;
  return {
    refreshToken,
    storedRefreshToken: stored,
    unreadableRefreshToken: unreadable ? stored : undefined,
  };
}

const NONE: readonly number[] = [];

/** The moments at which mints that have begun can no longer be under way. @throws SpoiledRecordError */
function parseIntents(text: string | undefined): readonly number[] {
  if (text === undefined) return NONE;
  let intents: unknown;
  try {
    intents = JSON.parse(text);
  } catch {
    throw new SpoiledRecordError();
  }
  if (typeof intents !== 'object' || intents === null) throw new SpoiledRecordError();
  const moments: unknown[] = Object.values(intents);
  if (!moments.every((moment) => typeof moment === 'number')) throw new SpoiledRecordError();
  return moments;
}

/** For people only: an unreadable one is no reason to distrust the record. */
function parseError(text: string | undefined): StoredError | undefined {
  return text === undefined ? undefined : storedError.safeParse(parseDisplay(text)).data;
}

/** A record in which nothing stands, for people to look at in place of one that was spoiled by hand. */
export function emptyRecord(readAt: number): CredentialRecord {
  const none = undefined;
  const tokens = { refreshToken: none, storedRefreshToken: none, unreadableRefreshToken: none };
  return { ...parseRecord({}, undefined, { now: readAt, epoch: '', digest: none }), ...tokens };
}

/**
 * Puts a record aside that a person has spoiled, for that person to look at; the next one starts anew.
 * @throws KeeperError `store_unavailable`
 */
export async function putAside({ redis, keys }: Store, id: CredentialId): Promise<void> {
  await onRedis(async () => {
    await redis.rename(keys.record(id), keys.spoiled(id)).catch((error: unknown) => {
      // Another replica was faster.
      if (!(error instanceof Error) || !error.message.includes('no such key')) throw error;
    });
  });
}

/**
 * Takes a single-use value, which nobody else will be given.
 * @param only takes this value and no other: somebody has used it
 * @throws KeeperError `store_unavailable`
 */
export async function takeValue(
  store: Store,
  id: CredentialId,
  only?: string,
): Promise<
  { value: string; expiresAt: number; seq: number; obtainedAt: number; readAt: number } | undefined
> {
  const keys = [store.keys.record(id), store.keys.mirror(id)];
  const taken = (await runRecordScript(store, takeScript, keys, {
    min_life_ms: MIN_TAKEN_LIFE_MS,
    only,
  })) as [string, number, number, number, number] | null;
  if (taken === null) return undefined;
  const [value, expiresAt, seq, obtainedAt, readAt] = taken;
  store.time.learn(readAt);
  return { value, expiresAt, seq, obtainedAt, readAt };
}

/** Newest first. @throws KeeperError `store_unavailable` */
export async function readHistory(store: Store, id: CredentialId): Promise<HistoryEntry[]> {
  const entries = await onDisplayKey(() => store.redis.lrange(store.keys.history(id), 0, -1), []);
  return entries.flatMap((json) => {
    const entry = parseDisplay(json) as StoredHistoryEntry | null | undefined;
    if (typeof entry?.obtained_at !== 'number' || typeof entry.expires_at !== 'number') return [];
    const { obtained_at: obtainedAt, expires_at: expiresAt, seq, reason, replica } = entry;
    return [{ obtainedAt, expiresAt, seq, reason, replica }];
  });
}
