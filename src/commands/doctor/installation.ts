import { lookup } from 'node:dns/promises';
import { existsSync } from 'node:fs';
import { systemClock, type Clock } from '../../lib/clock.ts';
import type { AccountConfig, ComponentConfig } from '../../config/file.ts';
import { secretsOf, type Config } from '../../config/load.ts';
import type { Log } from '../../lib/log.ts';
import { createKeys, type CredentialId } from '../../store/redis/keys.ts';
import { readRecord, SpoiledRecordError } from '../../store/credentials/record.ts';
import type { StoredError } from '../../store/credentials/stored-error.ts';
import { CONNECT_TIMEOUT_MS, type RedisClient } from '../../store/redis/client.ts';
import { connectRedis, onRedis } from '../../store/redis/connection.ts';
import { wordOf, type RedisError } from '../../store/redis/error-words.ts';
import { createTokenEncryption } from '../../store/redis/token-encryption.ts';
import { createStoreTime } from '../../store/redis/time.ts';
import type { Store } from '../../store/redis/store.ts';
import { createWechatApi, type WechatApi } from '../../wechat/client.ts';
import { UsageError } from './usage.ts';

/** The installation that is examined, with its settings, and how it is reached. */
export interface Installation {
  config: Config;
  env: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  store: Store;
  /** Why Redis cannot be used; undefined when it can. */
  redisProblem: string | undefined;
  api: WechatApi;
  /** All addresses of a host. @throws whatever DNS does */
  lookup: (host: string) => Promise<string[]>;
  /** Milliseconds for each of the name, the connection and the answer, however they are dragged out. */
  stepMs: number;
  /** More certificate authorities to trust, as PEM. */
  ca: string | undefined;
  machine: { nodeVersion: string; inContainer: boolean; dotenv: string };
  /** What no output may hold; grows with what is read from Redis. */
  secrets: Set<string>;
}

export { wordOf as reasonOf } from '../../store/redis/error-words.ts';

export type InstallationOptions = Partial<
  Pick<Installation, 'env' | 'clock' | 'lookup' | 'stepMs' | 'ca' | 'machine'>
>;

const CONNECT_WAIT_MS = 3_000;
/** So long that a packet may be lost and sent again, and that four steps are over in 20 s. */
const STEP_MS = 4_000;
/** The lines of the report are all that is said. */
export const SILENT: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  in: () => SILENT,
  close: () => Promise.resolve(),
};

/** Connects to Redis, or finds out why that cannot be. Call `release` at the end. */
export async function connectTo(
  config: Config,
  options: InstallationOptions = {},
): Promise<Installation> {
  const { clock = systemClock } = options;
  const redis = connectRedis(config.redis, SILENT);
  // They are asked one after the other.
  const sentinels = config.redis.sentinels?.length ?? 0;
  const waitMs = CONNECT_WAIT_MS + sentinels * CONNECT_TIMEOUT_MS;
  const redisProblem = await firstProblem(redis, waitMs);
  const time = createStoreTime(clock);
  const encryption = createTokenEncryption(config.refreshTokenKeys);
  return {
    config,
    env: options.env ?? process.env,
    clock,
    store: { redis, keys: createKeys(config.redisKeyPrefix), time, encryption },
    redisProblem,
    api: createWechatApi({
      baseUrls: config.wechatApiBaseUrls,
      proxies: config,
      clock,
      log: SILENT,
    }),
    lookup: options.lookup ?? resolveAll,
    stepMs: options.stepMs ?? STEP_MS,
    ca: options.ca,
    machine: options.machine ?? {
      nodeVersion: process.version,
      inContainer: existsSync('/.dockerenv') || existsSync('/run/.containerenv'),
      dotenv: '.env',
    },
    secrets: new Set(secretsOf(config)),
  };
}

/** The service would try again for ever; a person wants to know at once. */
async function firstProblem(redis: RedisClient, waitMs: number): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve) => {
      timer = setTimeout(() => resolve('timeout'), waitMs);
      redis.once('ready', () => resolve(undefined));
      redis.on('error', (error: RedisError) => resolve(wordOf(error)));
    });
  } finally {
    clearTimeout(timer);
  }
}

export function close({ store }: Installation): void {
  store.redis.disconnect();
}

async function resolveAll(host: string): Promise<string[]> {
  const addresses = await lookup(host, { all: true });
  return addresses.map(({ address }) => address);
}

export type StoredToken =
  { token: string } | { token: undefined; lastError: StoredError | undefined };

/**
 * The live token that is in Redis for a component, an account of our own, or an authorizer. None is ever
 * minted.
 * @throws KeeperError `store_unavailable`
 */
export async function storedToken(
  installation: Installation,
  subject: Subject,
): Promise<StoredToken> {
  const record = await readRecord(installation.store, subject.credential).catch(
    (error: unknown) => {
      if (error instanceof SpoiledRecordError) return undefined;
      throw error;
    },
  );
  if (record === undefined) return { token: undefined, lastError: undefined };
  const { value, expiresAt, readAt, refused, lastError } = record;
  for (const secret of [value, record.refreshToken]) {
    if (secret !== undefined) installation.secrets.add(secret);
  }
  const live = value !== undefined && expiresAt > readAt && !refused;
  return live ? { token: value } : { token: undefined, lastError };
}

/** Somebody in whose name WeChat is asked. */
export type Subject = { appid: string; credential: CredentialId } & (
  | { type: 'component'; component: ComponentConfig }
  | { type: 'account'; account: AccountConfig }
  | { type: 'authorizer'; component: ComponentConfig }
);

/** Every component and every account of our own. */
export function configuredSubjects({ config }: Installation): Subject[] {
  return [
    ...config.components.map((component): Subject => ({
      type: 'component',
      component,
      appid: component.appid,
      credential: { kind: 'component_access_token', subject: component.appid },
    })),
    ...config.accounts.map((account): Subject => ({
      type: 'account',
      account,
      appid: account.appid,
      credential: { kind: 'access_token', subject: account.appid },
    })),
  ];
}

/**
 * Whom an appid names: who is configured, or else an account that authorized a component.
 * @throws UsageError
 */
export async function subjectOf(installation: Installation, appid: string): Promise<Subject> {
  const configured = configuredSubjects(installation).find((one) => one.appid === appid);
  if (configured !== undefined) return configured;
  const { store, config } = installation;
  for (const component of config.components) {
    const subject = `${component.appid}:${appid}`;
    const credential = { kind: 'authorizer_access_token', subject } as const;
    const known = await onRedis(() => store.redis.exists(store.keys.record(credential)));
    if (known === 1) return { type: 'authorizer', component, appid, credential };
  }
  const message = `--appid ${appid} is neither configured nor an account that wxkeeper knows.`;
  throw new UsageError(message);
}
