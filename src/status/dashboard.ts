import type { Language } from '../lib/language.ts';
import type { LocalCopies } from '../credentials/local-copy.ts';
import { KeeperError } from '../lib/errors.ts';
import * as z from 'zod';
import { readEvents, type StoredEvent } from '../store/tickets/event-stream.ts';
import type { CredentialId, CredentialKindName } from '../store/redis/keys.ts';
import { readHistory, type HistoryEntry } from '../store/credentials/record.ts';
import { readRefusedBy, type RefusedBy } from '../store/credentials/refused-by.ts';
import type { Store } from '../store/redis/store.ts';
import { SILENT_AFTER_MS } from '../wechat/ticket-silence.ts';
import { readTicketArrivals } from '../store/tickets/ticket.ts';
import type { SnapshotContext } from './context.ts';
import type { StatusSnapshot } from './schema.ts';
import { takeSnapshot } from './snapshot.ts';

/** What the dashboard shows beyond the status: what has been, not only what is. Never a value. */

export interface DashboardData {
  status: StatusSnapshot;
  /** By appid of a component or an account; undefined for what cannot be read right now. */
  histories: ReadonlyMap<string, readonly CredentialHistory[]>;
  tickets: ReadonlyMap<string, readonly number[] | undefined>;
  events: ReadonlyMap<string, readonly StoredEvent[] | undefined>;
  /** Epoch ms, by the store's clock as far as it is known. */
  now: number;
}

export interface CredentialHistory {
  kind: CredentialKindName;
  /** Newest first; undefined when it cannot be read right now. */
  entries: readonly HistoryEntry[] | undefined;
  /** Who called its value dead last; undefined when nobody did, or when it cannot be read right now. */
  refusedBy: RefusedBy | undefined;
}

/** Tickets make up most of a stream, and they have a panel of their own. */
const EVENTS_READ = 200;
export const EVENTS_SHOWN = 20;
const DAY_MS = 86_400_000;

export async function readDashboard(
  context: SnapshotContext,
  language: Language,
): Promise<DashboardData> {
  const { store, clock } = context;
  const status = await takeSnapshot(context, language);
  const subjects = [...status.components, ...status.accounts];
  const appids = status.components.map(({ appid }) => appid);
  const [histories, tickets, events] = await Promise.all([
    collect(subjects, async ({ appid, credentials }) => [
      appid,
      await Promise.all(credentials.map(({ kind }) => readOne(store, kind, appid))),
    ]),
    collect(appids, async (appid) => [appid, await orUndefined(readTicketArrivals(store, appid))]),
    collect(appids, async (appid) => [appid, await orUndefined(readLatest(store, appid))]),
  ]);
  const now = status.redis.state === 'ready' ? store.time.now() : clock.now();
  return { status, histories, tickets, events, now };
}

/** Those that are no tickets, newest first. */
async function readLatest(store: Store, appid: string): Promise<StoredEvent[]> {
  const events = await readEvents(store, appid, EVENTS_READ);
  return events
    .filter(({ fields }) => fields.info_type !== 'component_verify_ticket')
    .slice(0, EVENTS_SHOWN);
}

async function readOne(
  store: Store,
  kind: CredentialKindName,
  subject: string,
): Promise<CredentialHistory> {
  const [entries, refusedBy] = await Promise.all([
    orUndefined(readHistory(store, { kind, subject })),
    orUndefined(readRefusedBy(store, { kind, subject })),
  ]);
  return { kind, entries, refusedBy };
}

async function collect<T, V>(
  items: readonly T[],
  read: (item: T) => Promise<[string, V]>,
): Promise<ReadonlyMap<string, V>> {
  return new Map(await Promise.all(items.map(read)));
}

/** One panel that cannot be filled must not take the page with it. */
async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof KeeperError && error.code === 'store_unavailable') return undefined;
    throw error;
  }
}

/** A credential as this process last saw it. */
export interface RememberedCredential {
  kind: CredentialKindName;
  subject: string;
  /** Epoch ms; undefined when nothing is remembered. */
  expiresAt: number | undefined;
}

/** What is served while Redis is away; one that is used once is not, as nobody could tell who has it. */
export function readMemory(
  memory: LocalCopies,
  ids: readonly CredentialId[],
): RememberedCredential[] {
  return ids
    .filter(({ kind }) => kind !== 'pre_auth_code')
    .map((id) => {
      const known = memory.recall(id);
      return { ...id, expiresAt: known?.value === undefined ? undefined : known.expiresAt };
    });
}

export interface Gap {
  from: number;
  to: number;
}

/**
 * The times of the last day in which tickets stayed away, the newest first.
 * @param arrivals epoch ms, newest first
 * @returns `since`: what came before is not on record
 */
export function ticketGaps(
  arrivals: readonly number[],
  now: number,
): { gaps: Gap[]; since: number } {
  const start = now - DAY_MS;
  const oldest = arrivals.at(-1);
  const since = Math.max(start, oldest ?? now);
  const gaps: Gap[] = [];
  let to = now;
  for (const from of arrivals) {
    if (to > start && to - from > SILENT_AFTER_MS) gaps.push({ from: Math.max(from, start), to });
    to = Math.min(to, from);
  }
  return { gaps, since };
}

export interface Interval {
  /** When it ended: a new value was there. Epoch ms. */
  at: number;
  minutes: number;
  reason: string;
  replica: string;
}

/** A person may have written something else there. */
const text = z.string().catch('');

/** Times between one mint and the next, newest first, of the last `spanMs`. */
export function refreshIntervals(
  entries: readonly HistoryEntry[],
  now: number,
  spanMs: number,
): Interval[] {
  const intervals = entries.slice(0, -1).map(({ obtainedAt, reason, replica }, index) => ({
    at: obtainedAt,
    reason: text.parse(reason),
    replica: text.parse(replica),
    minutes: (obtainedAt - (entries[index + 1]?.obtainedAt ?? obtainedAt)) / 60_000,
  }));
  return intervals.filter(({ at, minutes }) => at > now - spanMs && at <= now && minutes >= 0);
}
