import { Redis } from 'ioredis';
import { createService, type Service } from '../src/service.ts';
import type { RedisServer } from '../src/sandbox/redis/launch.ts';
import { loadConfig } from '../src/config/load.ts';
import type { StartCron } from '../src/schedule/cron.ts';
import { createSimulator, type Simulator } from '../src/sandbox/wechat/simulator.ts';
import { authorizerToken } from '../src/store/authorizers/authorization.ts';
import { createKeys } from '../src/store/redis/keys.ts';
import { createManualClock, type ManualClock } from '../test/kit/clock.ts';
import { COMPONENT } from './rig/component.ts';
import type { Report } from './rig/report.ts';
import { SILENT } from './rig/silent.ts';

/**
 * A simulated day of a platform with many authorizers: two whole replicas on one real Redis, WeChat's
 * simulator over HTTP, one clock for all that is moved by hand. It begins with an empty Redis, so that
 * the replicas first have to find everybody in WeChat's list.
 */

interface DayOptions {
  authorizers: number;
  hours: number;
  say: (line: string) => void;
}

interface DayMeasurement {
  authorizers: number;
  hours: number;
  /** From an empty Redis until every token was live. */
  filled: { simulatedSeconds: number; calls: number };
  /** Looks at a token in Redis, and how many of them found none that works at WeChat. */
  looks: number;
  dead: number;
  /** Calls for tokens within the hours, for each authorizer, and as few as its own life asks for. */
  callsEach: number;
  unavoidableEach: number;
  /** Tokens minted although the former one was not within its window. */
  early: number;
  heapMb: number[];
  redisMb: number;
  realSeconds: number;
}

const KIND = 'authorizer_access_token';
const PREFIX = 'day:';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const LIFE_MS = 2 * HOUR;
/** A token is renewed within this long of its end, and no sooner. */
const WINDOW_MS = 15 * MINUTE;
/** Tokens looked at each simulated minute. */
const SAMPLE = 300;
const CRON_MS = 10 * MINUTE;

interface Platform {
  clock: ManualClock;
  simulator: Simulator;
  apps: readonly Service[];
  redis: Redis;
  appids: readonly string[];
  /** Calls to WeChat so far: its ledger forgets. */
  calls: () => number;
}

export async function measureDay(redis: RedisServer, options: DayOptions): Promise<Report> {
  const one = await runDay(redis, options);
  const authorizers = one.authorizers.toLocaleString('en');
  return {
    bench: 'day',
    title: {
      en: `${authorizers} authorizers, two replicas, ${one.hours} simulated hours`,
      zh: `${authorizers} 个授权方、两个副本、模拟 ${one.hours} 小时`,
    },
    tables: [
      {
        columns: [''],
        rows: [
          ['simulated s to fill an empty Redis', one.filled.simulatedSeconds],
          ['looks at a token in Redis', one.looks],
          ['of them without a live token', one.dead],
          ['calls for each authorizer', one.callsEach.toFixed(2)],
          ['unavoidable: one in each life', one.unavoidableEach.toFixed(2)],
          ['minted before its window', one.early],
          ['heap MB of all, hour by hour', one.heapMb.join(' ')],
          ['Redis MB', one.redisMb],
          ['real s', one.realSeconds],
        ],
      },
    ],
    lines: [],
    notes: [],
    failed: one.dead + one.early > 0,
  };
}

async function runDay(redis: RedisServer, options: DayOptions): Promise<DayMeasurement> {
  const began = performance.now();
  const platform = await createPlatform(redis, options.authorizers);
  const { simulator, apps, clock } = platform;
  try {
    const filled = await fill(platform, options);
    const tally = createTally(platform);
    const heapMb = [heap()];
    const end = clock.now() + options.hours * HOUR;
    while (clock.now() < end) {
      for (let minute = 0; minute < 60; minute += 1) {
        await pass(platform, MINUTE);
        await tally.look();
      }
      heapMb.push(heap());
      options.say(`${tally.line()}, heap ${heapMb.at(-1) ?? 0} MB`);
    }
    const memory = /used_memory:(\d+)/.exec(await platform.redis.info('memory'))?.[1] ?? '0';
    return {
      authorizers: options.authorizers,
      hours: options.hours,
      filled,
      ...tally.result(),
      unavoidableEach: (options.hours * HOUR) / LIFE_MS,
      heapMb,
      redisMb: Math.round(Number(memory) / 2 ** 20),
      realSeconds: Math.round((performance.now() - began) / 1000),
    };
  } finally {
    for (const app of apps) await app.stop();
    await simulator.stop();
    platform.redis.disconnect();
  }
}

async function createPlatform(server: RedisServer, count: number): Promise<Platform> {
  const clock = createManualClock();
  let calls = 0;
  const simulator = createSimulator({
    components: [COMPONENT],
    clock,
    pushing: false,
    onCall: () => (calls += 1),
    ledgerLimit: 20_000,
  });
  await simulator.start();
  const config = loadConfig({
    REDIS_URL: server.url,
    REDIS_KEY_PREFIX: PREFIX,
    WECHAT_API_BASE_URLS: simulator.url,
    PUBLIC_HOST: '127.0.0.1',
    PUBLIC_PORT: '0',
    INTERNAL_PORT: '0',
    COMPONENT_APPID: COMPONENT.appid,
    COMPONENT_APPSECRET: COMPONENT.secret,
    COMPONENT_TOKEN: COMPONENT.token,
    COMPONENT_ENCODING_AES_KEY: COMPONENT.encodingAesKey,
  });
  const startCron = createCron(clock);
  const apps = [1, 2].map(() => createService(config, { clock, startCron, log: SILENT }));
  for (const app of apps) await app.start();
  const port = apps[0]?.publicPort() ?? 0;
  simulator.setCallbackUrl(COMPONENT.appid, `http://127.0.0.1:${port}/callback/${COMPONENT.appid}`);
  const appids = simulator.populate(COMPONENT.appid, count);
  return { clock, simulator, apps, redis: new Redis(server.url), appids, calls: () => calls };
}

/** Until everybody has a token that works. */
async function fill(platform: Platform, { say }: DayOptions): Promise<DayMeasurement['filled']> {
  const { clock, simulator } = platform;
  const since = clock.now();
  simulator.setPushing(true);
  for (;;) {
    await pass(platform, MINUTE);
    const dead = await countDead(platform, platform.appids);
    say(`${(clock.now() - since) / 1000} s: ${platform.appids.length - dead} live`);
    if (dead === 0) break;
  }
  return { simulatedSeconds: (clock.now() - since) / 1000, calls: platform.calls() };
}

function createTally(platform: Platform) {
  const { simulator, clock, appids } = platform;
  const counts = { looks: 0, dead: 0, calls: 0, early: 0 };
  const began = clock.now();
  const mintedAt = new Map<string, number>();
  let seenUntil = began;
  let next = 0;
  function readLedger(): void {
    const { mints } = simulator.ledger;
    const now = clock.now();
    for (let i = mints.length - 1; i >= 0; i -= 1) {
      const mint = mints[i];
      if (mint === undefined || mint.at <= seenUntil) break;
      if (mint.kind !== KIND) continue;
      counts.calls += 1;
      const former = mintedAt.get(mint.appid);
      if (former !== undefined && mint.at - former < LIFE_MS - WINDOW_MS) counts.early += 1;
      mintedAt.set(mint.appid, mint.at);
    }
    seenUntil = now;
  }
  return {
    async look() {
      readLedger();
      const sample = Array.from({ length: SAMPLE }, (_, i) => appids[(next + i) % appids.length]);
      next += SAMPLE;
      const looked = sample.filter((one) => one !== undefined);
      counts.looks += looked.length;
      counts.dead += await countDead(platform, looked);
    },
    line: () =>
      `${((clock.now() - began) / HOUR).toFixed(0)} h: ${counts.calls} calls, ` +
      `${counts.dead} of ${counts.looks} looks found a dead token, ${counts.early} minted early`,
    result: () => ({
      looks: counts.looks,
      dead: counts.dead,
      early: counts.early,
      callsEach: counts.calls / appids.length,
    }),
  };
}

/** How many of these have no token in Redis that works at WeChat. */
async function countDead(
  { redis, simulator }: Platform,
  appids: readonly string[],
): Promise<number> {
  const keys = createKeys(PREFIX);
  let dead = 0;
  for (let from = 0; from < appids.length; from += 1_000) {
    const some = appids.slice(from, from + 1_000);
    const mirrors = some.map((appid) => keys.mirror(authorizerToken(COMPONENT.appid, appid)));
    for (const value of await redis.mget(...mirrors)) {
      if (value === null || !simulator.isLive(KIND, value)) dead += 1;
    }
  }
  return dead;
}

async function pass({ clock, simulator, apps }: Platform, ms: number): Promise<void> {
  const settle = async () => {
    for (let round = 0; round < 2; round += 1) {
      await simulator.idle();
      for (const app of apps) await app.idle();
    }
  };
  await settle();
  await clock.advance(ms, settle);
  await settle();
}

function createCron(clock: ManualClock): StartCron {
  return ({ onTick }) => {
    let stopped = false;
    const next = () => clock.now() + CRON_MS - (clock.now() % CRON_MS);
    const plan = () =>
      void clock.setTimer(next() - clock.now(), () => {
        if (stopped) return;
        void onTick('cron');
        plan();
      });
    plan();
    return {
      nextTicks: (count) => Array.from({ length: count }, (_, i) => next() + i * CRON_MS),
      stop: () => (stopped = true),
    };
  };
}

function heap(): number {
  globalThis.gc?.();
  return Math.round(process.memoryUsage().heapUsed / 2 ** 20);
}
