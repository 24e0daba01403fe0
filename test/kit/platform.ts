import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { createService, type Service } from '../../src/service.ts';
import { makeApiKey } from '../../src/config/api-keys.ts';
import type { EncryptionKey } from '../../src/config/formats.ts';
import { loadConfig, secretsOf, type Config } from '../../src/config/load.ts';
import type { Limits } from '../../src/http/server.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { StartCron } from '../../src/schedule/cron.ts';
import type { SimulatorOptions } from '../../src/sandbox/wechat/options.ts';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import type { RedisClient } from '../../src/store/redis/client.ts';
import { createKeys, type Keys } from '../../src/store/redis/keys.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { createStoreTime } from '../../src/store/redis/time.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { createManualClock, type ManualClock } from './clock.ts';
import { collectLog, type LogLine } from './logs.ts';
import { connectAdmin, singleAccess, type RedisAccess } from './redis-shapes/access.ts';

/**
 * The whole arrangement: the service on real Redis, WeChat's simulator over real HTTP, one clock
 * for both that the test moves.
 */
export interface TestPlatform {
  clock: ManualClock;
  simulator: Simulator;
  app: Service;
  redis: RedisClient;
  keys: Keys;
  /** The same two, as the functions of that room want them. */
  store: Store;
  config: Config;
  /** Every log line so far, parsed. */
  logs: LogLine[];
  /** The key that `internal` uses. */
  apiKey: string;
  /** An internal request with a key that may do everything; to another replica when one is given. */
  internal(path: string, init?: InternalRequest, replica?: Service): Promise<Response>;
  publicUrl(path?: string): string;
  /** Resolves when nothing is going on anywhere. */
  settle(): Promise<void>;
  /** Lets time pass, with everything that happens meanwhile. */
  pass(ms: number): Promise<void>;
  /**
   * The same for a stretch without trouble, at a tenth of the cost: every tick comes at its moment and
   * has half a minute to do its work; between them everybody sleeps, so there are fewer rounds of what
   * looks at regular times. Not for tests that count rounds or seconds.
   */
  skip(ms: number): Promise<void>;
  /** Another replica on the same Redis and simulator. */
  addReplica(options?: ReplicaOptions): Promise<Service>;
  close(): Promise<void>;
}

export interface ReplicaOptions {
  /** Other keys than those of the platform. */
  refreshTokenKeys?: readonly EncryptionKey[];
  /** Where its log lines go; to those of the platform unless given. */
  logs?: LogLine[];
}

export type InternalRequest = Omit<RequestInit, 'headers'> & { headers?: Record<string, string> };

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
/** Official accounts of our own: see `accounts` of the options. */
export const STABLE = { appid: 'wx00000000000000a1', secret: 'secret-of-the-stable-account' };
export const CLASSIC = { appid: 'wx00000000000000a2', secret: 'secret-of-the-classic-account' };
const ACCOUNTS = [
  { appid: STABLE.appid, appsecret: STABLE.secret, tickets: ['jsapi', 'wx_card'] },
  { appid: CLASSIC.appid, appsecret: CLASSIC.secret, access_token: 'classic', tickets: ['jsapi'] },
];
/** What the public listener is called from outside. */
const PUBLIC_BASE_URL = 'https://platform.example.com';
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

export interface TestPlatformOptions {
  /** Settings on top of the usual ones. */
  env?: Record<string, string>;
  simulator?: Partial<SimulatorOptions>;
  random?: () => number;
  /** A clock made by the test; a new one unless given. */
  clock?: ManualClock;
  /** Without it the cron jobs tick every ten minutes of the manual clock. */
  startCron?: StartCron;
  /** Another Redis than the common one: of any shape, or a single one by its URL. */
  redis?: RedisAccess;
  redisUrl?: string;
  /** Of both listeners. */
  limits?: Partial<Limits>;
  /** Do not start the service yet. */
  startApp?: boolean;
  /** WeChat has pushed its ticket: there is a component_access_token. */
  ticket?: boolean;
  /** It can make authorization links. */
  links?: boolean;
  /** `ticket`, and WeChat's list of authorizers has been read: no round of that is due. */
  listRead?: boolean;
  /** The accounts `STABLE` and `CLASSIC` are in the settings and at WeChat. */
  accounts?: boolean;
  /** Delivery routes, as CONFIG_FILE spells them; their targets may be on this host. */
  routes?: readonly object[];
  /** Layouts, as CONFIG_FILE spells them. */
  layouts?: readonly object[];
}

export async function createTestPlatform(options: TestPlatformOptions = {}): Promise<TestPlatform> {
  const clock = options.clock ?? createManualClock(options.random);
  const parts = await assemble({
    clock,
    startCron: options.startCron ?? createManualCron(clock),
    redis: options.redisUrl === undefined ? options.redis : singleAccess(options.redisUrl),
    limits: options.limits,
    simulator: {
      clock,
      ...(options.accounts === true && { accounts: [STABLE, CLASSIC] }),
      ...options.simulator,
    },
    env: () => ({
      ...(options.links === true && { PUBLIC_BASE_URL }),
      ...configFileOf(options),
      ...(options.routes && { DELIVERY_NETWORKS: '127.0.0.0/8' }),
      ...options.env,
    }),
  });
  const { simulator, app, config } = parts;
  const settle = async () => {
    // A push that was just answered starts work in the service, whose calls reach the simulator.
    for (let round = 0; round < 3; round += 1) {
      await simulator.idle();
      for (const one of parts.apps) await one.idle();
    }
  };
  const pass = (ms: number) => clock.advance(ms, settle).then(settle);
  if (options.startApp !== false) {
    await app.start();
    simulator.setCallbackUrl(COMPONENT.appid, callbackOf(app));
  }
  if (options.ticket === true || options.listRead === true) {
    await simulator.pushTicket();
    await settle();
  }
  if (options.listRead === true) await pass(MINUTE);
  return {
    ...parts,
    clock,
    settle,
    store: {
      redis: parts.redis,
      keys: parts.keys,
      time: createStoreTime(clock),
      encryption: createTokenEncryption(config.refreshTokenKeys),
    },
    publicUrl: (path = `/callback/${COMPONENT.appid}`) =>
      `http://127.0.0.1:${app.publicPort()}${path}`,
    pass,
    skip: (ms) => skip(clock, pass, ms),
  };
}

/** Where WeChat pushes to, to have it at this replica. */
export function callbackOf(app: Service): string {
  return `http://127.0.0.1:${app.publicPort()}/callback/${COMPONENT.appid}`;
}

interface AssembleOptions {
  clock?: Clock;
  startCron?: StartCron | undefined;
  redis?: RedisAccess | undefined;
  limits?: Partial<Limits> | undefined;
  simulator: Partial<SimulatorOptions>;
  /** Settings on top of the usual ones, when the simulator has its addresses. */
  env: (simulator: Simulator) => Record<string, string>;
}

/** What every platform of the tests is made of, whoever moves its time; not started yet. */
export async function assemble(options: AssembleOptions) {
  const simulator = createSimulator({
    components: [COMPONENT],
    pushing: false,
    ...options.simulator,
  });
  await simulator.start();
  const access = options.redis ?? inject('redis');
  const prefix = `test${randomBytes(6).toString('hex')}:`;
  const { key: apiKey, entry } = makeApiKey('tests', 'admin');
  const config = loadConfig({
    ...platformEnv(simulator, access.env, prefix),
    API_KEYS: entry,
    ...options.env(simulator),
  });
  const logs: LogLine[] = [];
  const makeApp = (replica: ReplicaOptions = {}) => {
    const { refreshTokenKeys = config.refreshTokenKeys, logs: lines = logs } = replica;
    const { log } = collectLog({ lines, level: config.logLevel, secrets: secretsOf(config) });
    return createService(
      { ...config, refreshTokenKeys },
      {
        log,
        limits: options.limits ?? {},
        ...(options.clock && { clock: options.clock }),
        ...(options.startCron && { startCron: options.startCron }),
      },
    );
  };
  const app = makeApp();
  const apps = new Set([app]);
  const redis = connectAdmin(access);
  return {
    simulator,
    config,
    logs,
    app,
    /** All replicas. */
    apps: apps as ReadonlySet<Service>,
    redis,
    keys: createKeys(prefix),
    apiKey,
    internal: (path: string, init?: InternalRequest, replica = app) =>
      fetch(`http://127.0.0.1:${replica.internalPort()}${path}`, {
        ...init,
        headers: { authorization: `Bearer ${apiKey}`, ...init?.headers },
      }),
    async addReplica(replica?: ReplicaOptions) {
      const made = makeApp(replica);
      apps.add(made);
      try {
        await made.start();
      } catch (error) {
        apps.delete(made);
        await made.stop();
        throw error;
      }
      return made;
    },
    async close() {
      await Promise.all([...apps].map((one) => one.stop()));
      await simulator.stop();
      redis.disconnect();
    },
  };
}

/** Of what does not fit into variables. */
function configFileOf({ accounts, routes, layouts }: TestPlatformOptions): Record<string, string> {
  const content = {
    ...(accounts === true && { accounts: ACCOUNTS }),
    ...(routes && { routes }),
    ...(layouts && { layouts }),
  };
  return Object.keys(content).length === 0 ? {} : { CONFIG_FILE: writeConfig(content) };
}

function writeConfig(content: object): string {
  const file = join(mkdtempSync(join(tmpdir(), 'wxkeeper-test-')), 'config.json');
  writeFileSync(file, JSON.stringify(content));
  return file;
}

/** See `TestPlatform.skip`. */
async function skip(
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

export function platformEnv(
  simulator: Pick<Simulator, 'urls'>,
  redis: string | RedisAccess['env'],
  prefix: string,
): Record<string, string> {
  return {
    ...(typeof redis === 'string' ? singleAccess(redis).env : redis),
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
