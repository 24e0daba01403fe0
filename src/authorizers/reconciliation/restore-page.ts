import type { ReadContext } from '../../credentials/read.ts';
import { decidedAt, readOrQuarantine } from '../../credentials/read-repair.ts';
import { forEachAtOnce } from '../../credentials/refresh-due.ts';
import {
  authorizerToken,
  grantAuthorization,
  replaceRefreshToken,
} from '../../store/authorizers/authorization.ts';
import { planCheck } from '../../store/authorizers/due-queue.ts';
import type { CredentialId } from '../../store/redis/keys.ts';
import { unplannedOf } from '../../store/authorizers/reconciliation.ts';
import type { CredentialRecord } from '../../store/credentials/record.ts';
import { isRefusedByRedis } from '../../store/redis/connection.ts';
import {
  mergeAuthorizer,
  readAuthorizers,
  type AuthorizerProfile,
} from '../../store/authorizers/profile.ts';
import type { ListedAuthorizer } from '../../wechat/calls/authorizer.ts';
import { KeeperError } from '../../lib/errors.ts';
import type { ReconcileContext } from './step.ts';

/** What one page of WeChat's list is good for: bringing back what Redis has lost or never heard of. */

/** Records read and written at the same time. */
const AT_ONCE = 50;
/** Milliseconds by which a listed moment may be ahead of WeChat's clock as we know it. */
const MAX_AHEAD_MS = 300_000;

export interface PageResult {
  restored: number;
  failed: number;
}

/** @throws KeeperError `store_unavailable`; one account that is in trouble does not stop the others */
export async function restorePage(
  context: ReconcileContext,
  component: string,
  list: readonly ListedAuthorizer[],
): Promise<PageResult> {
  const { store, log } = context;
  const appids = list.map((one) => one.authorizerAppid);
  const [entries, unplanned] = await Promise.all([
    readAuthorizers(store, component, appids),
    unplannedOf(store, component, appids),
  ]);
  const result = { restored: 0, failed: 0 };
  await forEachAtOnce(AT_ONCE, list, async (listed) => {
    const { authorizerAppid: authorizer } = listed;
    const known = { entry: entries.get(authorizer), planned: !unplanned.has(authorizer) };
    try {
      if (await restoreOne(context, component, listed, known)) result.restored += 1;
    } catch (error) {
      const away = error instanceof KeeperError && error.code === 'store_unavailable';
      if (away && !isRefusedByRedis(error)) throw error;
      result.failed += 1;
      log.warn('an account of the list could not be looked at', { component, authorizer, error });
    }
  });
  return result;
}

/** Whether anything was brought back. */
async function restoreOne(
  context: ReconcileContext,
  component: string,
  listed: ListedAuthorizer,
  known: { entry: AuthorizerProfile | undefined; planned: boolean },
): Promise<boolean> {
  const { store, log } = context;
  const { authorizerAppid: authorizer } = listed;
  const id = authorizerToken(component, authorizer);
  const record = await readOrQuarantine(context, id);
  const authorizedAt = credibleTime(listed, record, context.wechatNow());
  const held = record.refreshToken !== undefined || record.unreadableRefreshToken !== undefined;
  const state = { entry: known.entry, authorizedAt };
  if (listed.refreshToken === undefined) {
    const ended = record.revokedAt !== undefined && record.revokedAt >= authorizedAt;
    if (!held && !ended) await noteState(store, component, authorizer, 'unexchanged', state);
    return false;
  }
  const outcome = await bringBack(store, id, record, {
    refreshToken: listed.refreshToken,
    authorizedAt,
  });
  if (outcome === 'ended') return false;
  const restored = outcome === 'restored';
  const planless = !known.planned && record.refreshToken !== undefined;
  if (restored || planless) await planCheck(store, id, store.time.now());
  if (restored) log.debug('an authorization was restored from the list', { component, authorizer });
  await noteState(store, component, authorizer, 'authorized', state);
  return restored;
}

/** A moment from the future must not outdo what is known, nor everything that follows. */
function credibleTime(
  { authorizedAt }: ListedAuthorizer,
  record: CredentialRecord,
  now: number,
): number {
  if (authorizedAt <= now + MAX_AHEAD_MS) return authorizedAt;
  const known = decidedAt(record);
  return known > 0 ? known : Math.floor(now / 1000) * 1000;
}

/**
 * Takes the listed refresh token in if ours is gone, refused or of an authorization before. Otherwise
 * ours stays: where refresh tokens change with each use, it may be newer than the list.
 */
async function bringBack(
  store: ReadContext['store'],
  id: CredentialId,
  record: CredentialRecord,
  { refreshToken, authorizedAt }: { refreshToken: string; authorizedAt: number },
): Promise<'restored' | 'kept' | 'ended'> {
  // Under a sealing key that is not there now: it is worth more than what would take its place.
  if (record.unreadableRefreshToken !== undefined) return 'kept';
  const stands = record.authorizedAt !== undefined && record.revokedAt === undefined;
  const known = decidedAt(record);
  const newer = authorizedAt > known;
  const same = record.refreshToken === refreshToken;
  const useless = record.refreshToken === undefined || record.reauthorizeAt !== undefined;
  if (!newer && !stands && record.revokedBy === 'list') {
    // WeChat was silent about it then, and names it now.
    await grantAuthorization(store, id, { refreshToken, authorizedAt: known });
    return 'restored';
  }
  if (!newer && !stands) return 'ended';
  if (!newer && !useless) return 'kept';
  if (!newer) {
    const replaced = await replaceRefreshToken(store, id, refreshToken, record);
    return replaced ? 'restored' : 'kept';
  }
  // Ours has brought a token since that authorization: it belongs to it, and may have changed since.
  if (stands && !useless && !same && record.obtainedAt > authorizedAt) return 'kept';
  const granted = await grantAuthorization(store, id, { refreshToken, authorizedAt });
  if (granted === 'older') return 'ended';
  return same && !useless ? 'kept' : 'restored';
}

/** For people: only what differs is written. */
async function noteState(
  store: ReadContext['store'],
  component: string,
  authorizer: string,
  state: 'authorized' | 'unexchanged',
  { entry, authorizedAt }: { entry: AuthorizerProfile | undefined; authorizedAt: number },
): Promise<void> {
  if (entry?.state === state) return;
  const stateAt = Math.max(authorizedAt, entry?.stateAt ?? 0);
  await mergeAuthorizer(store, component, authorizer, { state, stateAt });
}
