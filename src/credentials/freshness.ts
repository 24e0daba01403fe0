import { hash } from 'node:crypto';
import type { CredentialId } from '../store/redis/keys.ts';

/**
 * The one judgement about a credential: cron jobs, readers and the status page all ask here, so
 * that what an admin sees is what the keeper acts on.
 */
export type FreshnessState = 'fresh' | 'due' | 'urgent' | 'expired' | 'missing';

/** Why a record is in its state; a machine-readable word. */
export type FreshnessReason =
  | 'in_its_life'
  | 'inside_window'
  | 'about_to_expire'
  | 'past_expiry'
  | 'never_obtained'
  | 'handed_out'
  | 'order_unknown'
  | 'refused';

export interface Freshness {
  state: FreshnessState;
  reason: FreshnessReason;
  /** Epoch ms from which the record is due; now or earlier when it already is. */
  dueAt: number;
  /** Epoch ms from which it is urgent: the moment to look at it whatever the cron says. */
  urgentAt: number;
}

/** The part of a record that decides. Times are epoch ms. */
export interface Judged {
  value: string | undefined;
  obtainedAt: number;
  expiresAt: number;
  taken: boolean;
  suspect: boolean;
  /** WeChat called the value dead. */
  refused: boolean;
}

/** Urgent is the last third of the window, when waiting for the next attempt gets dangerous. */
const MAX_URGENT_MS = 300_000;

/**
 * @param windowMs upper bound of the window. A record is due within min(windowMs, life / 2) of its
 *   expiry, boundary included: with a life of 600 s a fixed window of 900 s would always be due.
 * @param singleUse whether being handed out uses the value up
 */
export function judgeFreshness(
  record: Judged,
  now: number,
  windowMs: number,
  singleUse: boolean,
): Freshness {
  const { value, obtainedAt, expiresAt } = record;
  if (value === undefined)
    return { state: 'missing', reason: 'never_obtained', dueAt: now, urgentAt: now };
  const life = Math.max(0, expiresAt - obtainedAt);
  const dueAt = expiresAt - Math.min(windowMs, life / 2);
  const urgentAt = expiresAt - Math.min(MAX_URGENT_MS, life / 6, windowMs / 3);
  if (now >= expiresAt) return { state: 'expired', reason: 'past_expiry', dueAt, urgentAt };
  if (singleUse && record.taken)
    return { state: 'missing', reason: 'handed_out', dueAt: now, urgentAt: now };
  if (now >= urgentAt) return { state: 'urgent', reason: 'about_to_expire', dueAt, urgentAt };
  if (record.suspect) return { state: 'due', reason: 'order_unknown', dueAt: now, urgentAt };
  if (record.refused) return { state: 'due', reason: 'refused', dueAt: now, urgentAt };
  if (now >= dueAt) return { state: 'due', reason: 'inside_window', dueAt, urgentAt };
  return { state: 'fresh', reason: 'in_its_life', dueAt, urgentAt };
}

/** The smallest part of the window that is left to an authorizer. */
const LEAST_SHARE = 0.4;

/**
 * The upper bound of one credential's window, milliseconds. Authorizers have different ones, each always
 * the same, so that those whose tokens came together do not come back together: the moment spreads over
 * the window, and nobody is refreshed earlier for it.
 */
export function windowOf({ kind, subject }: CredentialId, windowMs: number): number {
  if (kind !== 'authorizer_access_token') return windowMs;
  const share = Number.parseInt(hash('sha256', subject).slice(0, 8), 16) / 2 ** 32;
  return Math.ceil((windowMs * (LEAST_SHARE + (1 - LEAST_SHARE) * share)) / 1000) * 1000;
}

/** Whether a value may still be handed out. */
export function isLive(state: FreshnessState): boolean {
  return state === 'fresh' || state === 'due' || state === 'urgent';
}
