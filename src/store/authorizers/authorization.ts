import { loadRecordScript, runRecordScript } from '../redis/scripts.ts';
import type { CredentialId } from '../redis/keys.ts';
import { LEASE_MS, SETTLE_MS, valueArguments, type MintedValue } from '../credentials/mint.ts';
import { readRecord, type CredentialRecord } from '../credentials/record.ts';
import { encryptToken } from '../redis/encryption-keys.ts';
import type { Store } from '../redis/store.ts';

/**
 * What an authorizer's record holds besides its token: the refresh token, which never expires in
 * Redis and is never replaced by an empty one, and whether the authorization still stands.
 */

const grantScript = loadRecordScript('authorizers/grant-authorization');
const revokeScript = loadRecordScript('authorizers/revoke-authorization');
const replaceScript = loadRecordScript('authorizers/replace-refresh-token');
const reauthorizeScript = loadRecordScript('authorizers/await-reauthorization');

export function authorizerToken(component: string, authorizer: string): CredentialId {
  return { kind: 'authorizer_access_token', subject: `${component}:${authorizer}` };
}

/** An access token that came with an authorization. */
export interface GrantedToken extends MintedValue {
  /** An earlier try of the same call may have issued one too: one more mint must settle it. */
  doubtful: boolean;
}

/**
 * Takes in an authorization made at `authorizedAt` (epoch ms, WeChat's), and the access token that
 * came with it. `known`: nothing is new; `older`: something newer is known and stays.
 * @param grant `refreshToken` is undefined when none came with it: the stored one stays
 * @throws RangeError for an empty token; KeeperError `store_unavailable`
 */
export async function grantAuthorization(
  store: Store,
  id: CredentialId,
  grant: {
    refreshToken: string | undefined;
    authorizedAt: number;
    token?: GrantedToken | undefined;
    /** An exchange of which only the answer was lost has issued a token, and ended the stored one. */
    answerLost?: boolean;
  },
): Promise<'granted' | 'known' | 'older'> {
  const { refreshToken, authorizedAt, token } = grant;
  if (refreshToken === '') throw new RangeError('a refresh token must not be empty');
  const { keys } = store;
  const standing = await readRecord(store, id);
  const unchanged = refreshToken !== undefined && standing.refreshToken === refreshToken;
  return (await runRecordScript(
    store,
    grantScript,
    [...recordAndMirror(store, id), keys.history(id)],
    {
      refresh_token: await encryptToken(store, id, refreshToken),
      authorized_at: authorizedAt,
      unchanged_epoch: unchanged ? standing.authEpoch : undefined,
      ...(token && {
        ...valueArguments(store, id, token),
        overlap_ms: LEASE_MS,
      }),
      doubtful: token?.doubtful ?? grant.answerLost ?? false,
      settle_ms: SETTLE_MS,
    },
  )) as 'granted' | 'known' | 'older';
}

/**
 * Takes in the refresh token that WeChat names for an authorization that stands, in place of one that
 * is refused, lost or used up. False when the authorization has ended or begun anew, or its refresh token
 * is another one, since `before` was read.
 * @throws RangeError for an empty token; KeeperError `store_unavailable`
 */
export async function replaceRefreshToken(
  store: Store,
  id: CredentialId,
  refreshToken: string,
  before: Pick<CredentialRecord, 'authEpoch' | 'storedRefreshToken'>,
): Promise<boolean> {
  if (refreshToken === '') throw new RangeError('a refresh token must not be empty');
  const replaced = await runRecordScript(store, replaceScript, [store.keys.record(id)], {
    refresh_token: await encryptToken(store, id, refreshToken),
    auth_epoch: before.authEpoch,
    instead_of: before.storedRefreshToken,
  });
  return replaced === 1;
}

/**
 * Ends an authorization; `revokedAt` is epoch ms by WeChat's clock.
 * @param by `list` when WeChat did not say so but does not know the account any more: should it name the
 *   account again, that counts
 * @throws KeeperError `store_unavailable`
 */
export async function revokeAuthorization(
  store: Store,
  id: CredentialId,
  revokedAt: number,
  by?: 'list',
): Promise<'revoked' | 'older'> {
  return (await runRecordScript(store, revokeScript, recordAndMirror(store, id), {
    revoked_at: revokedAt,
    by,
  })) as 'revoked' | 'older';
}

/**
 * Notes that WeChat wants the merchant to authorize again: nothing is minted until then.
 * @param refused the authorization and the refresh token that WeChat refused
 * @returns false when another one has come since, which is not touched
 * @throws KeeperError `store_unavailable`
 */
export async function awaitReauthorization(
  store: Store,
  id: CredentialId,
  refused: Pick<CredentialRecord, 'authEpoch' | 'storedRefreshToken'>,
): Promise<boolean> {
  const noted = await runRecordScript(store, reauthorizeScript, [store.keys.record(id)], {
    auth_epoch: refused.authEpoch,
    refused: refused.storedRefreshToken,
  });
  return noted === 1;
}

function recordAndMirror({ keys }: Store, id: CredentialId): string[] {
  return [keys.record(id), keys.mirror(id)];
}
