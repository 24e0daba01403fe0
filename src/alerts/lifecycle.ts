import {
  identityOf,
  PROBLEMS,
  SEVERITIES,
  type Finding,
  type Severity,
} from '../status/problems.ts';
import type { ProblemCode } from '../status/problems.ts';

/**
 * When people are told of a problem: once when it has held for its time, again at once when it becomes
 * graver, then at growing distances, and once when it is over. Pure: the same for problems that all
 * replicas share in Redis and for those that each has for itself.
 */

/** A problem as it is remembered from one look to the next. Times are epoch ms by the store's clock. */
export interface Entry {
  /** As it was last seen. */
  finding: Finding;
  since: number;
  /** When it was first seen; a newer problem may have begun long before. */
  seenAt: number;
  /** When people were told; undefined before that. */
  toldAt?: number | undefined;
  /** How grave it was then. */
  toldSeverity?: Severity | undefined;
  /** Reminders since then. */
  reminders: number;
  /** When it was first missing; undefined while it is there. */
  goneAt?: number | undefined;
}

/** Something that people must be told. */
export interface News {
  status: 'firing' | 'reminder' | 'resolved';
  entry: Entry;
  /** What they were told before, when the problem has become graver. */
  previousSeverity: Severity | undefined;
}

const HOUR_MS = 3_600_000;
const FIRST_REMINDERS_MS = [HOUR_MS, 4 * HOUR_MS];
const FURTHER_REMINDERS_MS = 24 * HOUR_MS;
/** Milliseconds: what comes back within them was never over. */
const END_HOLDS_MS = 60_000;

/** In one family one kind of trouble turns into another; the first is not over by that. */
const FAMILIES: readonly (readonly ProblemCode[])[] = [
  ['no_ticket', 'ticket_refused', 'ticket_silent', 'ticket_expired'],
  [
    ...(['credential_refresh_failing', 'credential_dead', 'wechat_unreachable'] as const),
    ...(['secret_refused', 'address_not_whitelisted', 'quota_exhausted'] as const),
  ],
];

/** @param findings all that is wrong now; `info` is not worth telling anybody */
export function advance(
  before: ReadonlyMap<string, Entry>,
  findings: readonly Finding[],
  now: number,
): { after: Map<string, Entry>; news: News[] } {
  const found = new Map(
    findings.flatMap((one) => (one.severity === 'info' ? [] : [[identityOf(one), one] as const])),
  );
  const after = new Map<string, Entry>();
  const news: News[] = [];
  for (const [id, finding] of found) {
    const next = stand(before.get(id), finding, now);
    after.set(id, next.entry);
    if (next.news !== undefined) news.push(next.news);
  }
  for (const [id, entry] of before) {
    if (found.has(id)) continue;
    if ([...found.values()].some((other) => goesOnAs(entry, other))) {
      after.set(id, { ...entry, goneAt: undefined });
      continue;
    }
    const goneAt = Math.min(entry.goneAt ?? now, now);
    if (now - goneAt < END_HOLDS_MS) after.set(id, { ...entry, goneAt });
    else if (entry.toldAt !== undefined) {
      news.push({ status: 'resolved', entry: { ...entry, goneAt }, previousSeverity: undefined });
    }
  }
  return { after, news };
}

/** A problem that is there. */
function stand(
  before: Entry | undefined,
  finding: Finding,
  now: number,
): { entry: Entry; news?: News } {
  const since = Math.min(before?.since ?? now, finding.since ?? now);
  // A first failed try of what was due minutes ago is seconds old: patience begins when it is seen.
  const seenAt = Math.min(before?.seenAt ?? now, now);
  // A clock that was set back must silence nobody.
  const toldAt = before?.toldAt === undefined ? undefined : Math.min(before.toldAt, now);
  const moments = { since, seenAt, toldAt, goneAt: undefined };
  const entry: Entry = { reminders: 0, ...before, finding, ...moments };
  const { toldSeverity = finding.severity } = entry;
  const tell = (status: News['status'], change: Partial<Entry>, previousSeverity?: Severity) => {
    const told = { ...entry, ...change };
    return { entry: told, news: { status, entry: told, previousSeverity } };
  };
  const first = { toldAt: now, toldSeverity: finding.severity, reminders: 0 };
  if (toldAt === undefined) {
    const ripe = now - seenAt >= PROBLEMS[finding.code].afterSeconds * 1000;
    return ripe ? tell('firing', first) : { entry };
  }
  if (isGraver(finding.severity, toldSeverity)) return tell('firing', first, toldSeverity);
  if (now - toldAt < reminderAfter(entry.reminders)) return { entry };
  let { reminders } = entry;
  // Those that nobody could send, because Redis or all replicas were away, come as one.
  while (reminderAfter(reminders) <= now - toldAt) reminders += 1;
  return tell('reminder', { reminders });
}

/** Milliseconds after the first message. */
function reminderAfter(reminders: number): number {
  const further = reminders - FIRST_REMINDERS_MS.length + 1;
  return FIRST_REMINDERS_MS[reminders] ?? further * FURTHER_REMINDERS_MS;
}

function isGraver(severity: Severity, than: Severity): boolean {
  return SEVERITIES.indexOf(severity) < SEVERITIES.indexOf(than);
}

function goesOnAs({ finding, toldAt }: Entry, other: Finding): boolean {
  if (toldAt === undefined || isGraver(finding.severity, other.severity)) return false;
  if (finding.subject !== other.subject) return false;
  const kinds = finding.kind?.split(', ') ?? [];
  const same = finding.kind === other.kind || kinds.some((one) => other.kind?.includes(one));
  return same && FAMILIES.some((all) => all.includes(finding.code) && all.includes(other.code));
}
