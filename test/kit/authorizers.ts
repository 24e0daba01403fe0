import { expect } from 'vitest';
import { authorizerToken, grantAuthorization } from '../../src/store/authorizers/authorization.ts';
import { planCheck } from '../../src/store/authorizers/due-queue.ts';
import type { CredentialId } from '../../src/store/redis/keys.ts';
import { read } from './observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createStation,
  type Station,
  type StationOptions,
} from './platform.ts';

/** Accounts that have authorized the platform, at WeChat and in Redis. */

export const AUTHORIZER_API = 'api_authorizer_token';
export const AUTHORIZED = authorizerToken(COMPONENT.appid, AUTHORIZER);

/** A station with a component_access_token, to which nobody has authorized anything yet. */
export async function createPlatform(options: StationOptions = {}): Promise<Station> {
  const station = await createStation(options);
  await station.simulator.pushTicket();
  await station.settle();
  return station;
}

/**
 * An account authorizes the platform, again if it has before, and the service takes its refresh
 * token in. Nothing is minted by that: it is due from now on.
 */
export async function authorize(
  { simulator, store, clock }: Station,
  id: CredentialId = AUTHORIZED,
  options: { rotating?: boolean } = {},
): Promise<string> {
  const [component = '', authorizer = ''] = id.subject.split(':');
  const { refreshToken } = simulator.authorize(component, authorizer, options);
  await grantAuthorization(store, id, { refreshToken, authorizedAt: clock.now() });
  await planCheck(store, id, clock.now());
  return refreshToken;
}

/** A station whose one authorizer has had its token for 104 minutes: one more, and it is due. */
export async function platformBeforeRefresh(
  options: { rotating?: boolean } = {},
): Promise<Station> {
  const station = await createPlatform();
  await authorize(station, AUTHORIZED, options);
  await station.app.keeper.ensureFresh(AUTHORIZED, 'patrol');
  await station.skip(104 * 60_000);
  return station;
}

/** What an authorizer's record holds besides its token. */
export async function authorizationOf({ redis, keys }: Station, id: CredentialId = AUTHORIZED) {
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
export function mintsFor({ simulator }: Station, id: CredentialId = AUTHORIZED): string[] {
  const appid = id.subject.slice(id.subject.indexOf(':') + 1);
  return simulator.ledger.mints
    .filter((mint) => mint.kind === id.kind && mint.appid === appid)
    .map(({ value }) => value);
}

/** How the stories of authorizers end: a live value for everybody, under this seq and refresh token. */
export async function expectServed(
  station: Station,
  { seq, refreshToken }: { seq: number; refreshToken?: string },
): Promise<void> {
  const { redis, keys, simulator, clock } = station;
  const hash = await redis.hgetall(keys.record(AUTHORIZED));
  const { value } = await read(station, AUTHORIZED);
  expect(await read(station, AUTHORIZED)).toMatchObject({
    status: 200,
    seq,
    state: 'fresh',
    source: 'redis',
  });
  expect(hash).toMatchObject({ value, seq: String(seq), failures: '0' });
  for (const field of ['lock_op', 'intents', 'suspect', 'retry_at']) {
    expect(hash).not.toHaveProperty(field);
  }
  expect(await redis.get(keys.mirror(AUTHORIZED))).toBe(value);
  expect(simulator.isLive(AUTHORIZED.kind, value ?? '')).toBe(true);
  const held = await authorizationOf(station);
  expect(held).toMatchObject({ revoked: false, awaitsReauthorization: false });
  expect(held.lookAt).toBeGreaterThan(clock.now());
  if (refreshToken !== undefined) expect(held.refreshToken).toBe(refreshToken);
}
