import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { deadline, systemClock, type Clock } from './clock.ts';
import type { Config } from './config.ts';
import { createKeeper, type Keeper } from './credentials/keeper.ts';
import { createMemory } from './credentials/memory.ts';
import { createPatrol } from './credentials/patrol.ts';
import { createComplaintLimit } from './credentials/reject.ts';
import { createInternalApp } from './http/internal-app.ts';
import { createPublicApp } from './http/public-app.ts';
import { listen, type Listener } from './http/server.ts';
import type { Log } from './log.ts';
import { createPendingTickets } from './pushes/pending-tickets.ts';
import { createReceiver } from './pushes/receiver.ts';
import { createTicketMemory, type TicketMemory } from './pushes/ticket-memory.ts';
import { watchTickets } from './pushes/ticket-watchdog.ts';
import { startNodeCron, type StartCron } from './schedule/cron.ts';
import { jobTable } from './schedule/jobs.ts';
import { createScheduler } from './schedule/scheduler.ts';
import { createClockWatch, type ClockWatch } from './store/clock-watch.ts';
import { createKeys } from './store/keys.ts';
import { connectRedis, whenReady } from './store/redis.ts';
import { createSelfTestWatch, type SelfTest, type SelfTestWatch } from './store/self-test.ts';
import { createStoreTime } from './store/store-time.ts';
import type { Store } from './store/store.ts';
import type { ArrivedTicket } from './store/tickets.ts';
import { VERSION } from './version.ts';
import { createWechatApi, type WechatApi } from './wechat/api.ts';

/** The composition root: makes every part from the configuration and joins them. */

export interface AppOptions {
  log: Log;
  clock?: Clock;
  startCron?: StartCron;
}

export interface App {
  /** Starts listening, then looks at every credential. @throws listen errors */
  start(): Promise<void>;
  /** Stops in the order that loses nothing: listeners, ticks, mints in flight, Redis. */
  stop(): Promise<void>;
  /** Resolves when no job and no refresh is running; waiting timers do not count. */
  idle(): Promise<void>;
  publicPort(): number;
  internalPort(): number;
  keeper: Keeper;
}

/** Milliseconds a stopping process spends on what is in flight: one call to WeChat and its commit. */
const DRAIN_MS = 10_000;
/** Milliseconds more for the sockets that are cut when the time is up. */
const DRAIN_SLACK_MS = 1_000;
/** Milliseconds to wait for Redis at start; without it the process starts all the same. */
const REDIS_START_MS = 2_000;

export function createApp(config: Config, options: AppOptions): App {
  const parts = compose(config, options);
  const { redis, keeper, patrols, scheduler, pendingTickets, log } = parts;
  const listeners: Listener[] = [];
  return {
    keeper,
    async start() {
      if (!(await whenReady(redis, REDIS_START_MS))) {
        log.error('Redis is not there; pushes are refused with 503 until it is');
      }
      listeners.push(await listen(parts.publicApp, config.publicHost, config.publicPort));
      listeners.push(await listen(parts.internalApp, config.internalHost, config.internalPort));
      log.info('wxkeeper started', {
        version: VERSION,
        replica: parts.replica,
        public_port: listeners[0]?.port,
        internal_port: listeners[1]?.port,
        components: config.components.map((one) => one.appid),
        accounts: config.accounts.map((one) => one.appid),
      });
      await parts.watch.idle();
      await scheduler.start();
      for (const one of patrols) one.start();
    },
    async stop() {
      parts.life.stopping = true;
      const drained = Promise.all([
        ...listeners.map((listener) => listener.close(DRAIN_MS)),
        scheduler.stop(),
        ...patrols.map((one) => one.stop()),
        keeper.stop(),
      ]);
      const limit = deadline(systemClock, DRAIN_MS + DRAIN_SLACK_MS);
      await Promise.race([drained, once(limit.signal, 'abort')]);
      limit.cancel();
      await pendingTickets.stop();
      redis.disconnect();
      log.info('wxkeeper stopped');
    },
    async idle() {
      await parts.watch.idle();
      await scheduler.idle();
      for (const one of patrols) await one.idle();
      await keeper.idle();
    },
    publicPort: () => listeners[0]?.port ?? 0,
    internalPort: () => listeners[1]?.port ?? 0,
  };
}

/** Makes the parts in the order of their rooms: store, WeChat, credentials, pushes, schedule, http. */
function compose(config: Config, options: AppOptions) {
  const { log, clock = systemClock, startCron = startNodeCron } = options;
  const { components, accounts } = config;
  const replica = `${hostname()}-${process.pid}-${randomBytes(2).toString('hex')}`;
  const windowMs = config.refreshWindowSeconds * 1000;
  const life = { stopping: false, startedAt: clock.now() };

  const store = connectStore(config, log.in('store'), clock);
  const { redis, time } = store;
  const clocks = createClockWatch({ clock, time, log: log.in('store') });
  const api = createWechatApi({
    baseUrls: config.wechatApiBaseUrls,
    ...{ clock, log: log.in('wechat'), onDate: (at: number) => clocks.heardFromWechat(at) },
  });

  const memory = createMemory(clock, time);
  const refreshing = { store, api, clock, log: log.in('credentials'), memory, windowMs, replica };
  const keeper = createKeeper({ ...refreshing, subjects: { components, accounts } });

  const pushing = { store, clock, log: log.in('pushes') };
  const { ticketMemory, pendingTickets, receiver } = composePushes(config, pushing, keeper);

  const watch = createSelfTestWatch(store, log.in('store'), clock);
  const rounds = { clock, log, store, api, keeper, ticketMemory, clocks, watch, components };
  const patrols = composePatrols(rounds);
  redis.on('ready', () => {
    watch.now();
    void pendingTickets.flush();
    keeper.onRedisBack();
    for (const one of patrols) one.now();
  });

  const jobs = jobTable(config, keeper);
  const scheduling = { store, clock, log: log.in('schedule'), startCron, replica, jobs };
  const scheduler = createScheduler(scheduling);

  const publicApp = createPublicApp(receiver, log.in('http'));
  const internalApp = createInternalApp({
    apiKeys: config.apiKeys,
    reading: { ...refreshing, keeper, complaints: createComplaintLimit(clock) },
    status: {
      ...{ store, clock, windowMs, jobs, replica, startedAt: life.startedAt, version: VERSION },
      components: components.map(({ appid, previousEncodingAesKey }) => ({
        appid,
        previousKeySet: previousEncodingAesKey !== undefined,
      })),
      accounts,
      ticketsWaiting: () => pendingTickets.components(),
      nextTick: (kind, notBefore) => scheduler.nextTick(kind, notBefore),
      selfTest: () => watch.last(),
      clockSkew: () => clocks.skew(),
      publicBaseUrl: config.publicBaseUrl,
    },
    notReady: () => notReady(life.stopping, redis.status, watch.last()),
    log: log.in('http'),
  });
  const running = { redis, watch, keeper, patrols, pendingTickets, scheduler };
  return { log, life, replica, publicApp, internalApp, ...running };
}

/** What every replica goes round for by itself. */
function composePatrols(parts: {
  clock: Clock;
  log: Log;
  store: Store;
  api: WechatApi;
  keeper: Keeper;
  ticketMemory: TicketMemory;
  clocks: ClockWatch;
  watch: SelfTestWatch;
  components: Config['components'];
}) {
  const { clock, store, api, keeper, ticketMemory, clocks, watch, components } = parts;
  const log = parts.log.in('credentials');
  const patrol = createPatrol(
    clock,
    log,
    () => ticketMemory.keep(components),
    () => keeper.patrol(),
    () => watchTickets({ store, api, log: parts.log.in('pushes'), components }),
    () => clocks.check(),
    () => watch.onPatrol(),
  );
  // One of their own for authorizers: thousands of slow calls must not hold up the rest.
  return [patrol, createPatrol(clock, log, () => keeper.patrolAuthorizers())];
}

/** Tickets on their way in, and what is remembered of them. */
function composePushes(
  { components }: Config,
  pushing: { store: Store; clock: Clock; log: Log },
  keeper: Keeper,
) {
  const ticketMemory = createTicketMemory(pushing.store, pushing.log);
  const onTicket = (arrived: ArrivedTicket) => {
    ticketMemory.remember(arrived);
    void keeper.lookAtSubject(arrived.appid, 'ticket');
  };
  const pendingTickets = createPendingTickets({ ...pushing, onStored: onTicket });
  const secrets = components.map((one) => ({ ...one, componentAppid: one.appid }));
  const receiver = createReceiver({ ...pushing, components: secrets, pendingTickets, onTicket });
  return { ticketMemory, pendingTickets, receiver };
}

function connectStore(config: Config, log: Log, clock: Clock): Store {
  const settings = { url: config.redisUrl, protocol: config.redisProtocol };
  const redis = connectRedis(settings, log, 'commands', clock);
  return { redis, keys: createKeys(config.redisKeyPrefix), time: createStoreTime(clock) };
}

function notReady(
  stopping: boolean,
  redisStatus: string,
  selfTest: SelfTest | undefined,
): string | undefined {
  if (stopping) return 'stopping';
  if (redisStatus !== 'ready') return 'store_unavailable';
  return selfTest !== undefined && selfTest.forbidden.length > 0 ? 'store_forbids' : undefined;
}
