import { KeeperError } from '../../lib/errors.ts';
import { SpoiledRecordError } from '../../store/credentials/record.ts';
import { isRefusedByRedis } from '../../store/redis/connection.ts';
import { authorizersAfter, readAuthorizers } from '../../store/authorizers/profile.ts';
import { WechatError } from '../../wechat/client.ts';
import { refreshProfile } from '../profile.ts';
import type { Step } from './step.ts';

/** Names for accounts that nobody has asked WeChat about yet. Only people look at them: no hurry. */

/** Accounts of the registry that are looked through at a time. */
const SCAN = 200;
/** Ten calls a second. */
const AT_ONCE = 5;
const PAUSE_MS = 500;
/** What will not be otherwise for the next account: the next run goes on. */
const HOPELESS: readonly string[] = ['config', 'quota', 'rate', 'bug'];

/**
 * Asks about the next few.
 * @returns milliseconds until the next ones
 * @throws KeeperError when there is no token to ask with
 */
export async function fetchProfiles(step: Step): Promise<number> {
  const { context, component, run, save } = step;
  const { store, log } = context;
  const before = run.profileCursor ?? '';
  const appids = await authorizersAfter(store, component, before, SCAN);
  const entries = await readAuthorizers(store, component, appids);
  const unknown = appids.filter((appid) => {
    const entry = entries.get(appid);
    return entry?.profileAt === undefined && entry?.state !== 'revoked';
  });
  const asked = unknown.slice(0, AT_ONCE);
  const cursor = asked.length < unknown.length ? asked.at(-1) : appids.at(-1);
  // Before the calls: whatever happens to what they bring, each account costs one call in each run.
  await save({ profileCursor: cursor, nextAt: 0, lastError: undefined });
  const results = await Promise.allSettled(
    asked.map((authorizer) => refreshProfile(context, component, authorizer)),
  );
  let hopeless = false;
  for (const [index, result] of results.entries()) {
    if (result.status === 'fulfilled') continue;
    const error: unknown = result.reason;
    // A record spoiled by hand is put aside by its next look.
    const ofThisOne = error instanceof WechatError || error instanceof SpoiledRecordError;
    if (!ofThisOne && !isRefusedByRedis(error)) {
      // There was no token to ask with: nobody was asked.
      const noToken = error instanceof KeeperError && error.code !== 'store_unavailable';
      if (noToken) await save({ profileCursor: before });
      throw error;
    }
    hopeless ||= error instanceof WechatError && HOPELESS.includes(error.facts.class);
    const authorizer = asked[index];
    log.debug('a profile could not be fetched', { component, authorizer, error });
  }
  const over = hopeless || cursor === undefined;
  const nextAt = asked.length > 0 ? store.time.now() + PAUSE_MS : 0;
  await save({ profileCursor: over ? undefined : cursor, nextAt });
  return asked.length > 0 ? PAUSE_MS : 0;
}
