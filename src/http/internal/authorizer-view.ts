import type { ReadContext } from '../../credentials/read.ts';
import { isLive, judgeFreshness, windowOf } from '../../credentials/freshness.ts';
import { describeError } from '../../credentials/error-words.ts';
import { isoOrNull } from '../../lib/time-format.ts';
import { authorizerToken } from '../../store/authorizers/authorization.ts';
import {
  readRecord,
  SpoiledRecordError,
  type CredentialRecord,
} from '../../store/credentials/record.ts';
import type {
  AuthorizerProfile,
  AuthorizerState,
  ListedEntry,
} from '../../store/authorizers/profile.ts';

/**
 * One authorizer as the internal API shows it. Whether it has authorized and what its token is like comes
 * from its record, by which tokens are handed out; names and kinds from the registry. No token is shown.
 */

/** Records read at the same time. */
const AT_ONCE = 50;

export async function describeAuthorizers(
  context: ReadContext,
  component: string,
  entries: readonly ListedEntry[],
) {
  const described = [];
  for (let from = 0; from < entries.length; from += AT_ONCE) {
    const some = entries.slice(from, from + AT_ONCE);
    described.push(
      ...(await Promise.all(some.map((one) => describeAuthorizer(context, component, one)))),
    );
  }
  return described;
}

/** @throws KeeperError `store_unavailable` */
export async function describeAuthorizer(
  context: ReadContext,
  component: string,
  entry: ListedEntry,
) {
  const record = await readForPeople(context, component, entry.appid);
  return {
    appid: entry.appid,
    state: stateOf(entry, record),
    type: entry.type ?? null,
    nick_name: entry.nickName,
    user_name: entry.userName,
    alias: entry.alias,
    principal_name: entry.principalName,
    service_type: entry.serviceType ?? null,
    verify_type: entry.verifyType ?? null,
    account_status: entry.accountStatus ?? null,
    permission_sets: entry.permissionSets,
    authorized_at: isoOrNull(record?.authorizedAt),
    revoked_at: isoOrNull(record?.revokedAt),
    profile_at: isoOrNull(entry.profileAt),
    token: record === undefined ? null : describeToken(context, component, entry.appid, record),
  };
}

/** Undefined when a person has spoiled it: the next look puts it aside. */
async function readForPeople(
  { store }: ReadContext,
  component: string,
  authorizer: string,
): Promise<CredentialRecord | undefined> {
  try {
    return await readRecord(store, authorizerToken(component, authorizer));
  } catch (error) {
    if (error instanceof SpoiledRecordError) return undefined;
    throw error;
  }
}

function stateOf(entry: AuthorizerProfile, record: CredentialRecord | undefined): AuthorizerState {
  if (record?.revokedAt !== undefined) return 'revoked';
  if (record?.reauthorizeAt !== undefined) return 'reauthorize';
  const held = record?.refreshToken ?? record?.unreadableRefreshToken;
  return held === undefined ? entry.state : 'authorized';
}

function describeToken(
  { windowMs }: ReadContext,
  component: string,
  authorizer: string,
  record: CredentialRecord,
) {
  const { value, failures, lastError } = record;
  if (value === undefined && failures === 0) return null;
  const window = windowOf(authorizerToken(component, authorizer), windowMs);
  const { state } = judgeFreshness(record, record.readAt, window, false);
  return {
    state,
    expires_at: isLive(state) ? isoOrNull(record.expiresAt) : null,
    seq: record.seq,
    failures_in_a_row: failures,
    // Of a failure that is over, only the history tells.
    last_error: failures === 0 || lastError === undefined ? null : describeError(lastError, 'en'),
  };
}
