import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { systemClock } from '../../src/lib/clock.ts';
import { createKeeper, type Keeper } from '../../src/credentials/keeper.ts';
import { createLocalCopies } from '../../src/credentials/local-copy.ts';
import type { Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { authorizerToken, grantAuthorization } from '../../src/store/authorizers/authorization.ts';
import { createKeys, type CredentialId } from '../../src/store/redis/keys.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { createStoreTime } from '../../src/store/redis/time.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { acceptTicket } from '../../src/store/tickets/ticket.ts';
import { createWechatApi } from '../../src/wechat/client.ts';
import { authorizerAppid, COMPONENT } from './component.ts';
import { SILENT } from './silent.ts';

/** A platform with as many authorizers as are wanted, in Redis and at the pretended WeChat. */

export const KIND = 'authorizer_access_token';
const WINDOW_MS = 900_000;
const MINUTE = 60_000;
/** Less than the smallest window, two fifths of it: see `windowOf` in src/credentials/freshness.ts. */
const DUE_LIFE_MS = 5.5 * MINUTE;
/** Records written to Redis in one go. */
const CHUNK = 2_000;

export interface Platform {
  store: Store & { redis: Redis };
  simulator: Simulator;
  keeper: Keeper;
  /** A record as the keeper leaves it, for the others to be like. */
  sample: Record<string, string>;
  existing: number;
  /** How many of them were made due: each only once, because the keeper remembers what it refreshed. */
  madeDue: number;
}

/** @param prefix of the keys in Redis */
export async function createPlatform(
  redis: Redis,
  simulator: Simulator,
  prefix: string,
): Promise<Platform> {
  const time = createStoreTime(systemClock);
  const store = { redis, keys: createKeys(prefix), time, encryption: createTokenEncryption([]) };
  const api = createWechatApi({ baseUrls: simulator.urls, clock: systemClock, log: SILENT });
  const keeper = createKeeper({
    store,
    api,
    clock: systemClock,
    log: SILENT,
    replica: 'bench',
    memory: createLocalCopies(systemClock, time),
    windowMs: WINDOW_MS,
    rateLimit: { perSecond: 1_000, burst: 1_000 },
    subjects: {
      components: [{ appid: COMPONENT.appid, appsecret: COMPONENT.secret }],
      accounts: [],
    },
  });
  const now = Date.now();
  const ticket = { appid: COMPONENT.appid, ticket: simulator.issueTicket(), createTime: now };
  const push = {
    receivedAt: now,
    fingerprint: 'bench',
    event: { type: 'component_verify_ticket' },
  };
  await acceptTicket(store, { ...ticket, ...push });
  const first = idOf(0);
  const { refreshToken } = simulator.authorize(COMPONENT.appid, authorizerOf(first));
  await grantAuthorization(store, first, { refreshToken, authorizedAt: now });
  await keeper.ensureFresh(first, 'cron');
  await keeper.idle();
  const sample = await redis.hgetall(store.keys.record(first));
  if (sample.value === undefined) throw new Error('the first authorizer got no token');
  return { store, simulator, keeper, sample, existing: 1, madeDue: 0 };
}

export function idOf(index: number): CredentialId {
  return authorizerToken(COMPONENT.appid, authorizerAppid(index));
}

function authorizerOf({ subject }: CredentialId): string {
  return subject.slice(subject.indexOf(':') + 1);
}

/** Until so many exist; each is known at WeChat, has a token and is looked at again within the next 105 minutes. */
export async function fillUp(platform: Platform, existing: number): Promise<void> {
  for (let from = platform.existing; from < existing; from += CHUNK) {
    const ids = Array.from({ length: Math.min(CHUNK, existing - from) }, (_, index) =>
      idOf(from + index),
    );
    await writeRecords(platform, ids, (id) => ({
      lifeMs: Math.round((16 + Math.random() * 104) * MINUTE),
      refreshToken: authorize(platform, id),
    }));
  }
  platform.existing = Math.max(platform.existing, existing);
}

/** The last `count` of those that were not due yet are due, whatever part of the window each of them has. */
export async function makeDue(platform: Platform, count: number): Promise<void> {
  const last = platform.existing - 1 - platform.madeDue;
  platform.madeDue += count;
  const ids = Array.from({ length: count }, (_, index) => idOf(last - index));
  for (let from = 0; from < count; from += CHUNK) {
    await writeRecords(platform, ids.slice(from, from + CHUNK), (id) => ({
      lifeMs: DUE_LIFE_MS,
      refreshToken: authorize(platform, id),
    }));
  }
}

function authorize({ simulator }: Platform, id: CredentialId): string {
  return simulator.authorize(COMPONENT.appid, authorizerOf(id)).refreshToken;
}

async function writeRecords(
  { store, sample }: Platform,
  ids: readonly CredentialId[],
  describe: (id: CredentialId) => { lifeMs: number; refreshToken: string },
): Promise<void> {
  const { redis, keys } = store;
  const pipeline = redis.pipeline();
  for (const id of ids) {
    const { lifeMs, refreshToken } = describe(id);
    const expiresAt = Date.now() + lifeMs;
    const value = `9_${randomBytes(96).toString('base64url')}`;
    pipeline.hset(keys.record(id), {
      ...sample,
      value,
      expires_at: expiresAt,
      obtained_at: expiresAt - 120 * MINUTE,
      refresh_token: refreshToken,
    });
    pipeline.set(keys.mirror(id), value, 'PX', lifeMs);
    pipeline.zadd(keys.due(KIND, COMPONENT.appid), expiresAt - WINDOW_MS, authorizerOf(id));
  }
  await pipeline.exec();
}
