import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { systemClock } from '../src/clock.ts';
import type { RedisServer } from '../src/commands/redis-server.ts';
import { createKeeper, type Keeper } from '../src/credentials/keeper.ts';
import { createMemory } from '../src/credentials/memory.ts';
import { createSimulator, type Simulator } from '../src/simulator/simulator.ts';
import { authorizerToken, grantAuthorization } from '../src/store/authorizations.ts';
import { createKeys, type CredentialId } from '../src/store/keys.ts';
import { connectRedis, whenReady } from '../src/store/redis.ts';
import { createSeal } from '../src/store/seal.ts';
import { createStoreTime } from '../src/store/store-time.ts';
import type { Store } from '../src/store/store.ts';
import { acceptTicket } from '../src/store/tickets.ts';
import { createWechatApi } from '../src/wechat/api.ts';
import { countCommands, totalOf } from '../test/support/redis-commands.ts';
import { COMPONENT } from './rig/component.ts';
import type { Report } from './rig/report.ts';
import { SILENT } from './rig/stage.ts';

/**
 * What a tick over a platform's authorizers costs: the real keeper, real Redis, and WeChat's
 * simulator over HTTP. The number of commands is exact and the same everywhere; the time is of this
 * machine.
 */

const KIND = 'authorizer_access_token';
const WINDOW_MS = 900_000;
const MINUTE = 60_000;
/** Records written to Redis in one go. */
const CHUNK = 2_000;

interface SweepMeasurement {
  /** Authorizers with a record in Redis. */
  existing: number;
  due: number;
  /** What Redis was asked to do by the tick. */
  commands: number;
  /** Records that it read: that of each due one and its platform's token, several times each. */
  readings: number;
  calls: number;
  ms: number;
}

export async function measureSweeps(redis: RedisServer): Promise<Report> {
  const measured = await sweepAll(redis);
  return {
    bench: 'refresh',
    title: {
      en: 'A tick over the authorizers of one platform, ten calls to WeChat at a time',
      zh: '一个平台的全部授权方：一次定时检查，最多十个并发请求',
    },
    tables: [
      {
        columns: ['due', 'calls', 'readings', 'commands', 'ms'],
        rows: measured.map(({ existing, due, calls, readings, commands, ms }) => [
          `${existing.toLocaleString('en')} authorizers`,
          ...[due, calls, readings, commands, ms],
        ]),
      },
    ],
    lines: [],
    notes: [
      'readings are of whole records; of each due one, and of the platform token it is minted with',
    ],
  };
}

/** A tick among a thousand authorizers, then among a hundred thousand, then one with nothing due. */
async function sweepAll(redis: RedisServer): Promise<SweepMeasurement[]> {
  const simulator = createSimulator({ components: [COMPONENT], pushing: false });
  await simulator.start();
  const connection = connectRedis({ url: redis.url, protocol: 3 }, SILENT);
  await whenReady(connection, 5_000);
  const platform = await createPlatform(connection, simulator);
  try {
    const measured: SweepMeasurement[] = [];
    for (const [existing, due] of [
      [1_000, 100],
      [100_000, 100],
      [100_000, 0],
    ] as const) {
      await fillUp(platform, existing);
      await makeDue(platform, due);
      measured.push(await measureTick(platform, due));
    }
    return measured;
  } finally {
    await platform.keeper.stop();
    connection.disconnect();
    await simulator.stop();
  }
}

interface Platform {
  store: Store;
  simulator: Simulator;
  keeper: Keeper;
  /** A record as the keeper leaves it, for the others to be like. */
  sample: Record<string, string>;
  existing: number;
}

async function createPlatform(redis: Redis, simulator: Simulator): Promise<Platform> {
  const time = createStoreTime(systemClock);
  const store = { redis, keys: createKeys('bench:sweep:'), time, seal: createSeal([]) };
  const api = createWechatApi({ baseUrls: simulator.urls, clock: systemClock, log: SILENT });
  const keeper = createKeeper({
    ...{ store, api, clock: systemClock, log: SILENT, replica: 'bench' },
    memory: createMemory(systemClock, time),
    windowMs: WINDOW_MS,
    pace: { perSecond: 1_000, burst: 1_000 },
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
  await keeper.look(first, 'cron');
  await keeper.idle();
  const sample = await redis.hgetall(store.keys.record(first));
  if (sample.value === undefined) throw new Error('the first authorizer got no token');
  return { store, simulator, keeper, sample, existing: 1 };
}

function idOf(index: number): CredentialId {
  return authorizerToken(COMPONENT.appid, `wx${String(index).padStart(16, '0')}`);
}

function authorizerOf({ subject }: CredentialId): string {
  return subject.slice(subject.indexOf(':') + 1);
}

/** Until so many exist; each has a token and is looked at again within the next 105 minutes. */
async function fillUp(platform: Platform, existing: number): Promise<void> {
  for (let from = platform.existing; from < existing; from += CHUNK) {
    const ids = Array.from({ length: Math.min(CHUNK, existing - from) }, (_, index) =>
      idOf(from + index),
    );
    await writeRecords(platform, ids, () => ({
      lifeMs: Math.round((16 + Math.random() * 104) * MINUTE),
      refreshToken: `refreshtoken@@@${randomBytes(32).toString('base64url')}`,
    }));
  }
  platform.existing = Math.max(platform.existing, existing);
}

/** The last `count` of those that exist have ten minutes to live. */
async function makeDue(platform: Platform, count: number): Promise<void> {
  const { simulator, existing } = platform;
  const ids = Array.from({ length: count }, (_, index) => idOf(existing - 1 - index));
  await writeRecords(platform, ids, (id) => ({
    lifeMs: 10 * MINUTE,
    refreshToken: simulator.authorize(COMPONENT.appid, authorizerOf(id)).refreshToken,
  }));
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
      ...{ value, expires_at: expiresAt, obtained_at: expiresAt - 120 * MINUTE },
      refresh_token: refreshToken,
    });
    pipeline.set(keys.mirror(id), value, 'PX', lifeMs);
    pipeline.zadd(keys.due(KIND, COMPONENT.appid), expiresAt - WINDOW_MS, authorizerOf(id));
  }
  await pipeline.exec();
}

async function measureTick(platform: Platform, due: number): Promise<SweepMeasurement> {
  const { store, simulator, keeper, existing } = platform;
  const before = simulator.ledger.calls.length;
  let ms = 0;
  const counts = await countCommands(store.redis, async () => {
    const begun = performance.now();
    const { ok } = await keeper.sweep(KIND, 'cron');
    ms = performance.now() - begun;
    if (!ok) throw new Error('the tick left something undone');
  });
  return {
    ...{ existing, due, ms, commands: totalOf(counts), readings: counts['hgetall'] ?? 0 },
    calls: simulator.ledger.calls.length - before,
  };
}
