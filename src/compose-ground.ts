import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock, type Clock } from './lib/clock.ts';
import type { Config } from './config/load.ts';
import { createLocalCopies } from './credentials/local-copy.ts';
import type { Limits } from './http/server.ts';
import type { Log } from './lib/log.ts';
import type { StartCron } from './schedule/cron.ts';
import { countLines, createMetrics } from './metrics/metrics.ts';
import { createClockWatch } from './store/operations/clock-skew.ts';
import { createKeys } from './store/redis/keys.ts';
import { connectRedis } from './store/redis/connection.ts';
import { createTokenEncryption } from './store/redis/token-encryption.ts';
import { createStoreTime } from './store/redis/time.ts';
import type { Store } from './store/redis/store.ts';
import { createWechatApi } from './wechat/client.ts';

export interface AppOptions {
  log: Log;
  clock?: Clock;
  startCron?: StartCron;
  /** Of both listeners, where tests cannot wait for the usual ones. */
  limits?: Partial<Limits>;
}

/** What all rooms work with: Redis, WeChat, the clocks, and what is remembered. */
export function composeGround(config: Config, { log: plainLog, clock = systemClock }: AppOptions) {
  const metrics = createMetrics();
  const log = countLines(plainLog, metrics.counters.onLine);
  const replica = `${hostname()}-${process.pid}-${randomBytes(2).toString('hex')}`;
  const store = connectStore(config, log.in('store'), clock);
  const { time } = store;
  const clocks = createClockWatch({ clock, time, log: log.in('store') });
  const api = createWechatApi({
    baseUrls: config.wechatApiBaseUrls,
    clock,
    log: log.in('wechat'),
    onDate: (at: number) => clocks.heardFromWechat(at),
    onCall: metrics.counters.onCall,
  });
  const memory = createLocalCopies(clock, time);
  const windowMs = config.refreshWindowMs;
  return { store, api, clock, clocks, log, memory, metrics, windowMs, replica };
}

export type Ground = ReturnType<typeof composeGround>;

function connectStore(config: Config, log: Log, clock: Clock): Store {
  const settings = { url: config.redisUrl, protocol: config.redisProtocol };
  const redis = connectRedis(settings, log, 'commands', clock);
  const encryption = createTokenEncryption(config.refreshTokenKeys);
  return {
    redis,
    keys: createKeys(config.redisKeyPrefix),
    time: createStoreTime(clock),
    encryption,
  };
}
