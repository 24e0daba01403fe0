import { createHash } from 'node:crypto';
import type {
  ReconcileCause,
  ReconcilePhase,
  ReconcileRun,
  ReconcileState,
} from '../../store/authorizers/reconciliation.ts';

/** When WeChat's list is read, and whether what it said can be relied on. Decides, and does nothing. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Milliseconds by which the day of a component is longer or shorter: not all ask at once. */
const JITTER_MS = 2 * HOUR_MS;
/** Further ahead, a moment was written by a clock that has been set right since. */
const FARTHEST_MS = DAY_MS + JITTER_MS;

export type NextStep =
  | { do: 'start'; cause: ReconcileCause }
  | { do: ReconcilePhase | 'profiles' }
  /** `at`: when there is something to do, if that is known to be soon. */
  | { do: 'nothing'; at?: number };

/** What is to be done for a component now. */
export function nextStep(state: ReconcileState, component: string): NextStep {
  const { run, requestedAt, readAt: now } = state;
  if (run === undefined) return { do: 'start', cause: 'first' };
  const waiting = run.nextAt > now && run.nextAt <= now + FARTHEST_MS;
  if (run.phase !== undefined) {
    if (lostSince(state, run.epoch)) return { do: 'start', cause: 'redis' };
    return waiting ? { do: 'nothing', at: run.nextAt } : { do: run.phase };
  }
  if (requestedAt !== undefined && requestedAt > run.startedAt) {
    return { do: 'start', cause: 'request' };
  }
  const cause = causeOf(state, run, component);
  // What the list did not answer for a while is asked for the next day, unless more was lost since.
  const pausing = run.outcome === 'inconsistent' && waiting && !lostSince(state, run.epoch);
  if (cause !== undefined && !pausing) return { do: 'start', cause };
  if (run.profileCursor === undefined) return { do: 'nothing' };
  return waiting ? { do: 'nothing', at: run.nextAt } : { do: 'profiles' };
}

function causeOf(
  state: ReconcileState,
  { completedAt, completedEpoch }: ReconcileRun,
  component: string,
): ReconcileCause | undefined {
  if (completedAt === undefined) return 'first';
  if (lostSince(state, completedEpoch)) return 'redis';
  const age = state.readAt - completedAt;
  return age >= DAY_MS + jitterOf(component) || age < -HOUR_MS ? 'daily' : undefined;
}

/** Whether Redis was restarted or failed over since: any write of before may be gone. */
function lostSince({ epoch }: ReconcileState, known: string | undefined): boolean {
  return epoch !== 'unknown' && known !== epoch;
}

/** Milliseconds from -2 h to 2 h, always the same for one component. */
export function jitterOf(component: string): number {
  const hash = createHash('sha256').update(component).digest().readUInt32BE(0);
  return Math.round((hash / 2 ** 32) * 2 * JITTER_MS - JITTER_MS);
}

/** A page of the list, as it came. */
export interface ReadPage {
  offset: number;
  asked: number;
  totalCount: number;
  /** Entries, and how many of them are different accounts. */
  entries: number;
  different: number;
}

/** Why a page contradicts the pages before it or itself, in words; undefined when it does not. */
export function doubtAbout(page: ReadPage, totalBefore: number | undefined): string | undefined {
  const { offset, asked, totalCount, entries, different } = page;
  const due = Math.min(asked, Math.max(0, totalCount - offset));
  if (totalBefore !== undefined && totalBefore !== totalCount) {
    return `total_count went from ${totalBefore} to ${totalCount}`;
  }
  if (entries !== due) return `the page at ${offset} had ${entries} entries and not ${due}`;
  if (different !== entries) return `the page at ${offset} named an account twice`;
  return undefined;
}

/** Whether there is nothing to ask for after this page. An empty page ends a list that lies. */
export function isLastPage({ offset, asked, totalCount, entries }: ReadPage): boolean {
  return entries === 0 || offset + asked >= totalCount;
}
