import { hash } from 'node:crypto';
import { handleOf } from '../credentials/refresh-token-handle.ts';
import type { PublishedSource } from '../store/layouts/published.ts';
import type { CredentialId } from '../store/redis/keys.ts';
import { encode, nameOf, type Published } from './encode.ts';
import { keysFor, type LayoutTarget, type TargetKey } from './target.ts';

/** What belongs into each key of one credential: a pure function of what is stored. */

/** As it is written into names and values, the newest first; `expiresAt` undefined for a placeholder. */
export interface TicketText {
  text: string;
  expiresAt: number | undefined;
}

export interface ExpectedKey {
  key: TargetKey;
  name: string;
}

/** `none`: nothing may be there. `unknown`: nothing is to be said, and what is there stays. */
export type Expected = { text: string; lifeMs: number } | 'none' | 'unknown';

/** Milliseconds for which a key lives whose credential has no end. */
const FOR_LONG_MS = 30 * 86_400_000;

/**
 * What stands for the ticket where an application will not work without one: it opens nothing, so that who
 * has it mints nothing.
 */
export function placeholderTicket(component: string): TicketText {
  const text = `ticket@@@wxkeeper-${hash('sha256', component).slice(0, 32)}`;
  return { text, expiresAt: undefined };
}

/** The names of all keys of a credential; those that change with the ticket once for each ticket. */
export function namesFor(
  target: LayoutTarget,
  id: CredentialId,
  tickets: readonly TicketText[],
): ExpectedKey[] {
  const [owner = '', authorizer] = id.subject.split(':');
  const parts = {
    prefix: target.prefix,
    appid: authorizer ?? owner,
    component: owner,
    secret: target.layout.secret ?? '',
    refresh_token: authorizer === undefined ? '' : handleOf(owner, authorizer),
  };
  return keysFor(target, id).flatMap((key) => {
    const texts = key.ofTicket ? tickets.map(({ text }) => text) : [''];
    return texts.map((ticket) => ({ key, name: nameOf(key.template, { ...parts, ticket }) }));
  });
}

/** @param now epoch ms by the store's clock */
export function expectedIn(
  key: TargetKey,
  id: CredentialId,
  source: PublishedSource,
  ticket: TicketText | undefined,
  now: number,
): Expected {
  const published = publishedOf(key, id, source, ticket, now);
  if (typeof published === 'string') return published;
  const left = published.expiresAt === undefined ? undefined : published.expiresAt - now;
  const lifeMs = lifeOf(key, left);
  return lifeMs <= 0 ? 'unknown' : { text: encode(key, published), lifeMs };
}

function publishedOf(
  { kind }: TargetKey,
  { subject }: CredentialId,
  source: PublishedSource,
  ticket: TicketText | undefined,
  now: number,
): Published | 'none' | 'unknown' {
  const standing = { expiresAt: undefined, lifeSeconds: 0 };
  const { value, expiresAt, obtainedAt, stands, hasRefreshToken, untaken } = source;
  if (kind === 'component_verify_ticket') {
    if (ticket === undefined || (ticket.expiresAt ?? Infinity) <= now) return 'unknown';
    return { value: ticket.text, expiresAt: ticket.expiresAt, lifeSeconds: 0 };
  }
  if (!stands) return 'none';
  if (kind === 'authorizer_refresh_token') {
    const [component = '', authorizer = ''] = subject.split(':');
    return hasRefreshToken ? { ...standing, value: handleOf(component, authorizer) } : 'unknown';
  }
  const live = value !== undefined && expiresAt > now;
  if (kind === 'pre_auth_code' && !(live && untaken)) return 'none';
  if (!live) return 'unknown';
  return { value, expiresAt, lifeSeconds: Math.round((expiresAt - obtainedAt) / 1_000) };
}

/** @param left milliseconds of life that the credential has; undefined when it has no end */
function lifeOf({ seconds, endsBefore = 0 }: TargetKey, left: number | undefined): number {
  if (seconds !== undefined) return Math.min(seconds * 1_000, left ?? Infinity);
  return left === undefined ? FOR_LONG_MS : left - endsBefore * 1_000;
}

/** Milliseconds by which a life may be off: clocks differ, and time passes on the way. */
const TOLERANCE_MS = 30_000;

/** Whether a key with the right text has a life that is not the right one. -1: it has no end. */
export function isLifeOff({ seconds }: TargetKey, foundMs: number, wantedMs: number): boolean {
  const least = seconds === undefined ? wantedMs - TOLERANCE_MS : wantedMs / 2;
  return foundMs < least || foundMs > wantedMs + TOLERANCE_MS;
}
