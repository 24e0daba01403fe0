import { loadRecordScript, runRecordScript } from './scripts.ts';
import type { CredentialId } from './keys.ts';
import type { Store } from './store.ts';

/**
 * What an authorizer's record holds besides its token: the refresh token, which never expires in
 * Redis and is never replaced by an empty one, and whether the authorization still stands.
 */

const grantScript = loadRecordScript('grant-authorization');
const revokeScript = loadRecordScript('revoke-authorization');
const reauthorizeScript = loadRecordScript('await-reauthorization');

export function authorizerToken(component: string, authorizer: string): CredentialId {
  return { kind: 'authorizer_access_token', subject: `${component}:${authorizer}` };
}

/**
 * Takes in the refresh token of an authorization made at `authorizedAt` (epoch ms, WeChat's).
 * `older`: something newer is known, and nothing was changed.
 * @throws RangeError for an empty token; KeeperError `store_unavailable`
 */
export async function grantAuthorization(
  store: Store,
  id: CredentialId,
  grant: { refreshToken: string; authorizedAt: number },
): Promise<'granted' | 'older'> {
  if (grant.refreshToken === '') throw new RangeError('a refresh token must not be empty');
  return (await runRecordScript(store, grantScript, recordAndMirror(store, id), {
    refresh_token: grant.refreshToken,
    authorized_at: grant.authorizedAt,
  })) as 'granted' | 'older';
}

/**
 * Ends an authorization; `revokedAt` is epoch ms by WeChat's clock.
 * @throws KeeperError `store_unavailable`
 */
export async function revokeAuthorization(
  store: Store,
  id: CredentialId,
  revokedAt: number,
): Promise<'revoked' | 'older'> {
  return (await runRecordScript(store, revokeScript, recordAndMirror(store, id), {
    revoked_at: revokedAt,
  })) as 'revoked' | 'older';
}

/**
 * Notes that WeChat wants the merchant to authorize again: nothing is minted until then.
 * @param authEpoch of the authorization that WeChat refused; a newer one is not touched
 * @throws KeeperError `store_unavailable`
 */
export async function awaitReauthorization(
  store: Store,
  id: CredentialId,
  authEpoch: number,
): Promise<void> {
  await runRecordScript(store, reauthorizeScript, [store.keys.record(id)], {
    auth_epoch: authEpoch,
  });
}

function recordAndMirror({ keys }: Store, id: CredentialId): string[] {
  return [keys.record(id), keys.mirror(id)];
}
