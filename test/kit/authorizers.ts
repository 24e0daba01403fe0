import { authorizerToken, grantAuthorization } from '../../src/store/authorizers/authorization.ts';
import { planCheck } from '../../src/store/authorizers/due-queue.ts';
import type { CredentialId } from '../../src/store/redis/keys.ts';
import { AUTHORIZER, COMPONENT, createTestPlatform, type TestPlatform } from './platform.ts';

/** Accounts that have authorized the platform, at WeChat and in Redis. */

export const AUTHORIZER_API = 'api_authorizer_token';
export const AUTHORIZED = authorizerToken(COMPONENT.appid, AUTHORIZER);

/**
 * An account authorizes the platform, again if it has before, and the service takes its refresh
 * token in. Nothing is minted by that: it is due from now on.
 */
export async function authorize(
  { simulator, store, clock }: TestPlatform,
  id: CredentialId = AUTHORIZED,
  options: { rotating?: boolean } = {},
): Promise<string> {
  const [component = '', authorizer = ''] = id.subject.split(':');
  const { refreshToken } = simulator.authorize(component, authorizer, options);
  await grantAuthorization(store, id, { refreshToken, authorizedAt: clock.now() });
  await planCheck(store, id, clock.now());
  return refreshToken;
}

/** A platform whose one authorizer has had its token for 104 minutes: one more, and it is due. */
export async function platformBeforeAuthorizerRefresh(
  options: { rotating?: boolean } = {},
): Promise<TestPlatform> {
  const platform = await createTestPlatform({ ticket: true });
  await authorize(platform, AUTHORIZED, options);
  await platform.app.keeper.ensureFresh(AUTHORIZED, 'patrol');
  await platform.skip(104 * 60_000);
  return platform;
}

/** What an authorizer's record holds besides its token. */
export async function authorizationOf(
  { redis, keys }: TestPlatform,
  id: CredentialId = AUTHORIZED,
) {
  const [component = '', authorizer = ''] = id.subject.split(':');
  const [hash, lookAt] = await Promise.all([
    redis.hgetall(keys.record(id)),
    redis.zscore(keys.due(id.kind, component), authorizer),
  ]);
  return {
    refreshToken: hash.refresh_token,
    revoked: hash.revoked_at !== undefined,
    awaitsReauthorization: hash.reauthorize_at !== undefined,
    /** When it is looked at next, epoch ms; undefined when never. */
    lookAt: lookAt === null ? undefined : Number(lookAt),
  };
}

/** What WeChat minted for one authorizer by its refresh token, or when it authorized. */
export function mintsFor({ simulator }: TestPlatform, id: CredentialId = AUTHORIZED): string[] {
  const appid = id.subject.slice(id.subject.indexOf(':') + 1);
  return simulator.ledger.mints
    .filter((mint) => mint.kind === id.kind && mint.appid === appid)
    .map(({ value }) => value);
}
