import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { Redis } from 'ioredis';
import { inject } from 'vitest';
import { createService, type Service } from '../../src/service.ts';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { loadConfig, secretsOf, type Config } from '../../src/config/load.ts';
import type { Limits } from '../../src/http/server.ts';
import { createLog } from '../../src/lib/log.ts';
import type { StartCron } from '../../src/schedule/cron.ts';
import type { SimulatorOptions } from '../../src/sandbox/wechat/options.ts';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { createKeys, type Keys } from '../../src/store/redis/keys.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { createStoreTime } from '../../src/store/redis/time.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { createManualClock, type ManualClock } from './clock.ts';

/**
 * The whole arrangement: the service on real Redis, WeChat's simulator over real HTTP, one clock
 * for both that the test moves.
 */
export interface Station {
  clock: ManualClock;
  simulator: Simulator;
  app: Service;
  redis: Redis;
  keys: Keys;
  /** The same two, as the functions of that room want them. */
  store: Store;
  config: Config;
  /** Every log line so far, parsed. */
  logs: LogLine[];
  /** The key that `internal` uses. */
  apiKey: string;
  /** An internal request with a key that may do everything. */
  internal(path: string, init?: InternalRequest): Promise<Response>;
  publicUrl(path?: string): string;
  /** Resolves when nothing is going on anywhere. */
  settle(): Promise<void>;
  /** Lets time pass, with everything that happens meanwhile. */
  pass(ms: number): Promise<void>;
  /** The same for a stretch without trouble, at a tenth of the cost: see `skipQuietly`. */
  skip(ms: number): Promise<void>;
  /** Another replica on the same Redis and simulator, with its own log. */
  addReplica(): Promise<Service>;
  close(): Promise<void>;
}

export type InternalRequest = Omit<RequestInit, 'headers'> & { headers?: Record<string, string> };

export interface LogLine {
  level: string;
  message: string;
  [field: string]: unknown;
}

export const COMPONENT = {
  appid: 'wx0123456789abcdef',
  secret: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  token: 'callbackToken',
  encodingAesKey: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
  previousToken: 'formerToken',
  previousEncodingAesKey: 'GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba',
};
/** One of those whose window is as long as windows can be. */
export const AUTHORIZER = 'wx5ca6a28cbf8bf405';
/** WeChat says yes and pushes nothing: for tests in which no ticket may come unasked. */
export const NO_PUSHES_ON_REQUEST = {
  api: 'api_start_push_ticket',
  times: 'forever',
  fault: { type: 'body', body: '{"errcode":0,"errmsg":"ok"}' },
} as const;
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
/** Between two ticks of the cron jobs, unless a test has others. */
const TICK_MS = 10 * MINUTE;
/** Time for what a tick sets going: a ticket asked for, a second try, two rounds of the patrols. */
const FOLLOWING_MS = 30_000;
/** So that the patrols go round at the same seconds of a minute as if nobody had slept. */
const AWAKE_BEFORE_MS = 18_750;

export interface StationOptions {
  /** Settings on top of the usual ones. */
  env?: Record<string, string>;
  simulator?: Partial<SimulatorOptions>;
  random?: () => number;
  /** A clock made by the test; a new one unless given. */
  clock?: ManualClock;
  /** Without it the cron jobs tick every ten minutes of the manual clock. */
  startCron?: StartCron;
  redisUrl?: string;
  /** Of both listeners. */
  limits?: Partial<Limits>;
  /** Do not start the service yet. */
  startApp?: boolean;
}

export async function createStation(options: StationOptions = {}): Promise<Station> {
  const clock = options.clock ?? createManualClock(options.random);
  const simulator = createSimulator({
    components: [COMPONENT],
    clock,
    pushing: false,
    ...options.simulator,
  });
  await simulator.start();
  const redisUrl = options.redisUrl ?? inject('redisUrl');
  const prefix = `test${randomBytes(6).toString('hex')}:`;
  const { key, entry } = makeApiKey('tests', 'admin');
  const config = loadConfig({
    ...stationEnv(simulator, redisUrl, prefix),
    API_KEYS: entry,
    ...options.env,
  });
  const logs: LogLine[] = [];
  const startCron = options.startCron ?? createManualCron(clock);
  const { limits = {} } = options;
  const makeApp = () =>
    createService(config, { clock, startCron, limits, log: collectLog(config, logs) });
  const app = makeApp();
  const apps = [app];
  const redis = new Redis(redisUrl, { lazyConnect: false });
  const keys = createKeys(prefix);
  const time = createStoreTime(clock);
  const settle = async () => {
    // A push that was just answered starts work in the service, whose calls reach the simulator.
    for (let round = 0; round < 3; round += 1) {
      await simulator.idle();
      for (const one of apps) await one.idle();
    }
  };
  const pass = (ms: number) => clock.advance(ms, settle).then(settle);
  const start = async (one: Service) => {
    await one.start();
    simulator.setCallbackUrl(
      COMPONENT.appid,
      `http://127.0.0.1:${one.publicPort()}/callback/${COMPONENT.appid}`,
    );
  };
  if (options.startApp !== false) await start(app);
  return {
    clock,
    simulator,
    app,
    redis,
    config,
    logs,
    settle,
    apiKey: key,
    keys,
    store: { redis, keys, time, encryption: createTokenEncryption(config.refreshTokenKeys) },
    internal: (path, init) =>
      fetch(`http://127.0.0.1:${app.internalPort()}${path}`, {
        ...init,
        headers: { authorization: `Bearer ${key}`, ...init?.headers },
      }),
    publicUrl: (path = `/callback/${COMPONENT.appid}`) =>
      `http://127.0.0.1:${app.publicPort()}${path}`,
    pass,
    skip: (ms) => skipQuietly(clock, pass, ms),
    async addReplica() {
      const replica = makeApp();
      apps.push(replica);
      await replica.start();
      return replica;
    },
    async close() {
      await Promise.all(apps.map((one) => one.stop()));
      await simulator.stop();
      redis.disconnect();
    },
  };
}

/**
 * Lets time go by in which nobody gives trouble: every tick comes at its moment and has half a
 * minute to do its work; between them everybody sleeps, so there are fewer rounds of the patrols.
 * Not for tests that count rounds or seconds.
 */
export async function skipQuietly(
  clock: ManualClock,
  pass: (ms: number) => Promise<void>,
  ms: number,
): Promise<void> {
  const end = clock.monotonic() + ms;
  const left = () => end - clock.monotonic();
  while (left() > 0) {
    // What is under way, and what the tick has set going.
    await pass(Math.min(FOLLOWING_MS, left()));
    const untilStop = Math.min(left(), TICK_MS - (clock.now() % TICK_MS));
    const inMinute = (clock.now() + untilStop) % MINUTE;
    clock.sleepThrough(Math.max(0, untilStop - inMinute - AWAKE_BEFORE_MS));
    await pass(Math.min(left(), TICK_MS - (clock.now() % TICK_MS)));
  }
}

export function stationEnv(
  simulator: Pick<Simulator, 'urls'>,
  redisUrl: string,
  prefix: string,
): Record<string, string> {
  return {
    REDIS_URL: redisUrl,
    REDIS_KEY_PREFIX: prefix,
    PUBLIC_HOST: '127.0.0.1',
    PUBLIC_PORT: '0',
    INTERNAL_PORT: '0',
    WECHAT_API_BASE_URLS: simulator.urls.join(','),
    COMPONENT_APPID: COMPONENT.appid,
    COMPONENT_APPSECRET: COMPONENT.secret,
    COMPONENT_TOKEN: COMPONENT.token,
    COMPONENT_ENCODING_AES_KEY: COMPONENT.encodingAesKey,
    COMPONENT_PREVIOUS_TOKEN: COMPONENT.previousToken,
    COMPONENT_PREVIOUS_ENCODING_AES_KEY: COMPONENT.previousEncodingAesKey,
    LOG_LEVEL: 'debug',
  };
}

/** Ticks at every tenth minute of the manual clock, whatever the expression says. */
export function createManualCron(clock: ManualClock, everyMs = TICK_MS): StartCron {
  return ({ onTick }) => {
    let cancel = () => {};
    const next = () => everyMs - (clock.now() % everyMs);
    const plan = () => {
      cancel = clock.setTimer(next(), () => {
        plan();
        void onTick('cron');
      });
    };
    plan();
    return {
      nextTicks: (count) =>
        Array.from({ length: count }, (_, index) => clock.now() + next() + index * everyMs),
      stop: () => cancel(),
    };
  };
}

function collectLog(config: Config, lines: LogLine[]) {
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      for (const line of chunk.split('\n')) {
        if (line !== '') lines.push(JSON.parse(line) as LogLine);
      }
      done();
    },
  });
  return createLog({ level: config.logLevel, secrets: secretsOf(config), stream });
}
