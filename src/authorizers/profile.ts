import { callAsComponent } from '../credentials/call-as-component.ts';
import type { ReadContext } from '../credentials/read.ts';
import { authorizerToken, replaceRefreshToken } from '../store/authorizers/authorization.ts';
import { planCheck } from '../store/authorizers/due-queue.ts';
import { readRecord } from '../store/credentials/record.ts';
import { mergeAuthorizer } from '../store/authorizers/profile.ts';
import { fetchAuthorizerInfo } from '../wechat/calls/authorizer.ts';

/**
 * Asks WeChat about one account: its names and kind for people, its permission sets, and its refresh
 * token when ours is lost.
 * @throws WechatError; KeeperError `store_unavailable`, or why there is no token to ask with
 */
export async function refreshProfile(
  context: ReadContext,
  component: string,
  authorizer: string,
): Promise<void> {
  const { store, api, log } = context;
  const id = authorizerToken(component, authorizer);
  const before = await readRecord(store, id);
  const { profile, permissionSets, refreshToken } = await callAsComponent(
    context,
    component,
    (platform) => fetchAuthorizerInfo(api, { ...platform, authorizerAppid: authorizer }),
  );
  const lost = before.refreshToken === undefined && before.unreadableRefreshToken === undefined;
  const stands = before.authorizedAt !== undefined && before.revokedAt === undefined;
  if (lost && stands && refreshToken !== undefined) {
    const replaced = await replaceRefreshToken(store, id, refreshToken, before);
    // Whoever had no refresh token was taken out of the due queue.
    if (replaced) await planCheck(store, id, store.time.now());
    log.warn('WeChat named a refresh token that was lost', { component, authorizer });
  }
  const profileAt = store.time.now();
  await mergeAuthorizer(store, component, authorizer, { ...profile, permissionSets, profileAt });
}
