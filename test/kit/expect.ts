import { expect } from 'vitest';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { openExchanges } from '../../src/store/authorizers/code-exchange.ts';
import type { CredentialId } from '../../src/store/redis/keys.ts';
import { authorizationOf, AUTHORIZED } from './authorizers.ts';
import { TOKEN } from './liveness.ts';
import { read } from './observe.ts';
import { AUTHORIZER, COMPONENT, type TestPlatform } from './platform.ts';

/** How stories end: what must hold when everything is over. */

/**
 * Of the record: nobody mints, no mint may still come to its end, its value is in no doubt, and no
 * failure is waited for. Only this function knows in which fields that stands.
 */
export async function expectSettled(
  { redis, keys }: Pick<TestPlatform, 'redis' | 'keys'>,
  id: CredentialId,
): Promise<void> {
  const hash = await redis.hgetall(keys.record(id));
  for (const field of ['lock_op', 'intents', 'suspect', 'retry_at']) {
    expect(hash).not.toHaveProperty(field);
  }
}

/** Of the platform's token: WeChat's newest value is what everybody gets, and nothing is left open. */
export async function expectHealed(platform: TestPlatform): Promise<void> {
  const { simulator, redis, keys } = platform;
  const newest = simulator.latestMint(TOKEN.kind)?.value;
  const hash = await redis.hgetall(keys.record(TOKEN));
  expect(hash).toMatchObject({ value: newest, failures: '0' });
  await expectSettled(platform, TOKEN);
  expect(await redis.get(keys.mirror(TOKEN))).toBe(newest);
  expect(simulator.isLive(TOKEN.kind, newest ?? '')).toBe(true);
}

/** Of an authorizer's token: a live value for everybody, under this seq and refresh token. */
export async function expectServed(
  platform: TestPlatform,
  { seq, refreshToken }: { seq: number; refreshToken?: string },
): Promise<void> {
  const { redis, keys, simulator, clock } = platform;
  const hash = await redis.hgetall(keys.record(AUTHORIZED));
  const { value } = await read(platform, AUTHORIZED);
  expect(await read(platform, AUTHORIZED)).toMatchObject({
    status: 200,
    seq,
    state: 'fresh',
    source: 'redis',
  });
  expect(hash).toMatchObject({ value, seq: String(seq), failures: '0' });
  await expectSettled(platform, AUTHORIZED);
  expect(await redis.get(keys.mirror(AUTHORIZED))).toBe(value);
  expect(simulator.isLive(AUTHORIZED.kind, value ?? '')).toBe(true);
  const held = await authorizationOf(platform);
  expect(held).toMatchObject({ revoked: false, awaitsReauthorization: false });
  expect(held.lookAt).toBeGreaterThan(clock.now());
  if (refreshToken !== undefined) expect(held.refreshToken).toBe(refreshToken);
}

/** Of an authorization: everybody gets what lives at WeChat, and what is stored refreshes it. */
export async function expectAlive(platform: TestPlatform, authorizer = AUTHORIZER): Promise<void> {
  const { simulator, redis, keys, store } = platform;
  const id = authorizerToken(COMPONENT.appid, authorizer);
  const { status, value } = await read(platform, id);
  expect(status).toBe(200);
  expect(simulator.isLive(id.kind, value ?? '')).toBe(true);
  expect(await redis.get(keys.mirror(id))).toBe(value);
  const hash = await redis.hgetall(keys.record(id));
  expect(hash.refresh_token).toBe(simulator.refreshTokenOf(COMPONENT.appid, authorizer));
  await expectSettled(platform, id);
  expect(await openExchanges(store, COMPONENT.appid)).toEqual([]);
}
