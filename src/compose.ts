import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createAuthorizations, type Authorizations } from './authorizers/authorizations.ts';
import { createReconciler, type Reconciler } from './authorizers/reconcile.ts';
import { createReleaseCheck, type ReleaseCheck } from './authorizers/release-check.ts';
import { systemClock, type Clock } from './clock.ts';
import type { Config } from './config.ts';
import { createKeeper, type Keeper } from './credentials/keeper.ts';
import { createMemory } from './credentials/memory.ts';
import { createPatrol } from './credentials/patrol.ts';
import { readCredential } from './credentials/read.ts';
import { createComplaintLimit } from './credentials/reject.ts';
import { noteUsed } from './credentials/used.ts';
import { createInternalApp } from './http/internal-app.ts';
import { createPublicApp } from './http/public-app.ts';
import type { Log } from './log.ts';
import { createPendingTickets, type PendingTickets } from './pushes/pending-tickets.ts';
import { createReceiver, type Receiver } from './pushes/receiver.ts';
import { createTicketMemory, type TicketMemory } from './pushes/ticket-memory.ts';
import { watchTickets } from './pushes/ticket-watchdog.ts';
import { startNodeCron, type StartCron } from './schedule/cron.ts';
import { jobTable, type Job } from './schedule/jobs.ts';
import { createScheduler, type Scheduler } from './schedule/scheduler.ts';
import { authorizerToken } from './store/authorizations.ts';
import { createClockWatch } from './store/clock-watch.ts';
import { createKeys } from './store/keys.ts';
import { connectRedis } from './store/redis.ts';
import { createSeal } from './store/seal.ts';
import { createSelfTestWatch, type SelfTest, type SelfTestWatch } from './store/self-test.ts';
import { createStoreTime } from './store/store-time.ts';
import type { Store } from './store/store.ts';
import type { ArrivedTicket } from './store/tickets.ts';
import { VERSION } from './version.ts';
import { createWechatApi } from './wechat/api.ts';

/** The composition root: makes every part from the configuration and joins them. */

export interface AppOptions {
  log: Log;
  clock?: Clock;
  startCron?: StartCron;
}

/** Seconds' worth of authorizers that may be refreshed at once after a pause. */
const BURST_SECONDS = 2;

/** What all rooms work with: Redis, WeChat, the clocks, and what is remembered. */
function composeGround(config: Config, { log, clock = systemClock }: AppOptions) {
  const replica = `${hostname()}-${process.pid}-${randomBytes(2).toString('hex')}`;
  const store = connectStore(config, log.in('store'), clock);
  const { time } = store;
  const clocks = createClockWatch({ clock, time, log: log.in('store') });
  const api = createWechatApi({
    baseUrls: config.wechatApiBaseUrls,
    ...{ clock, log: log.in('wechat'), onDate: (at: number) => clocks.heardFromWechat(at) },
  });
  const memory = createMemory(clock, time);
  const windowMs = config.refreshWindowSeconds * 1000;
  return { store, api, clock, clocks, log, memory, windowMs, replica };
}

type Ground = ReturnType<typeof composeGround>;

/** Makes the parts in the order of their rooms: credentials, authorizers, pushes, schedule, http. */
export function compose(config: Config, options: AppOptions) {
  const ground = composeGround(config, options);
  const { store, clock, log, replica } = ground;
  const { components, accounts } = config;
  const life = { stopping: false, startedAt: clock.now() };

  const refreshing = { ...ground, log: log.in('credentials') };
  const perSecond = config.authorizerRefreshesPerSecond;
  const pace = { perSecond, burst: perSecond * BURST_SECONDS };
  const keeper = createKeeper({ ...refreshing, pace, subjects: { components, accounts } });
  const authorizers = composeAuthorizers(config, { ...ground, keeper });
  const { authorizations, reconciler, releaseCheck } = authorizers;
  const pushes = composePushes(config, ground, { keeper, authorizations, releaseCheck });
  const { ticketMemory, pendingTickets, receiver } = pushes;

  const watch = createSelfTestWatch(store, log.in('store'), clock);
  const kept = { keeper, authorizations, reconciler };
  const patrols = composePatrols(config, { ...ground, ...kept, ticketMemory, watch });
  store.redis.on('ready', () => {
    watch.now();
    void pendingTickets.flush();
    keeper.onRedisBack();
    for (const one of patrols) one.now();
  });

  const jobs = jobTable(config, keeper);
  const { startCron = startNodeCron } = options;
  const scheduling = { store, clock, log: log.in('schedule'), startCron, replica, jobs };
  const scheduler = createScheduler(scheduling);

  const running = { pendingTickets, scheduler, watch };
  const apps = composeApps(config, { ...ground, ...kept, ...running, receiver, jobs, life });
  const { redis, seal } = store;
  return { log, life, replica, redis, seal, ...apps, ...kept, ...running, releaseCheck, patrols };
}

/** What WeChat and merchants reach, and what services and admins reach. */
function composeApps(
  config: Config,
  parts: Ground & {
    keeper: Keeper;
    authorizations: Authorizations;
    reconciler: Reconciler;
    receiver: Receiver;
    pendingTickets: PendingTickets;
    scheduler: Scheduler;
    watch: SelfTestWatch;
    jobs: readonly Job[];
    life: { stopping: boolean; startedAt: number };
  },
) {
  const { store, clock, authorizations, reconciler, pendingTickets, scheduler } = parts;
  const { watch, life } = parts;
  const { components, accounts, publicBaseUrl, wechatAuthorizationUrls } = config;
  const log = parts.log.in('http');
  const reading = { ...parts, log: parts.log.in('credentials') };
  const links = { components, publicBaseUrl, clock };
  const publicApp = createPublicApp(parts.receiver, log, {
    ...{ ...links, wechatAuthorizationUrls },
    takePreAuthCode: (component) =>
      readCredential(reading, { kind: 'pre_auth_code', subject: component }),
    takeCode: (...code) => authorizations.takeCode(...code),
  });
  const internalApp = createInternalApp({
    apiKeys: config.apiKeys,
    reading: { ...reading, complaints: createComplaintLimit(clock) },
    authorizationLinks: links,
    authorizers: { context: reading, reconciler, components: components.map((one) => one.appid) },
    status: {
      ...{ ...parts, startedAt: life.startedAt, version: VERSION, accounts, publicBaseUrl },
      components: components.map(({ appid, previousEncodingAesKey }) => ({
        appid,
        previousKeySet: previousEncodingAesKey !== undefined,
      })),
      ticketsWaiting: () => pendingTickets.components(),
      nextTick: (kind, notBefore) => scheduler.nextTick(kind, notBefore),
      selfTest: () => watch.last(),
      clockSkew: () => parts.clocks.skew(),
      refreshesPerSecond: config.authorizerRefreshesPerSecond,
      reconciliation: (component) => reconciler.progress(component),
    },
    notReady: () => notReady(life.stopping, store.redis.status, watch.last()),
    log,
  });
  return { publicApp, internalApp };
}

/** What becomes of the accounts that authorize a component. */
function composeAuthorizers({ components }: Config, parts: Ground & { keeper: Keeper }) {
  const { clock, clocks, keeper } = parts;
  const log = parts.log.in('authorizers');
  const wechatNow = () => clock.now() - (clocks.skew().processVsWechat ?? 0);
  const context = { ...parts, log, wechatNow, components: components.map(({ appid }) => appid) };
  const reconciler = createReconciler(context);
  const authorizations = createAuthorizations({
    ...context,
    onAuthorized: (component, authorizer) => {
      void keeper.look(authorizerToken(component, authorizer), 'patrol');
    },
    onLost: (component) => {
      reconciler.request(component).catch((error: unknown) => {
        log.warn('a reconciliation could not be asked for', { component, error });
      });
    },
  });
  return { authorizations, reconciler, releaseCheck: createReleaseCheck(context) };
}

/** Tickets on their way in, and what is remembered of them. */
function composePushes(
  { components }: Config,
  ground: Ground,
  parts: { keeper: Keeper; authorizations: Authorizations; releaseCheck: ReleaseCheck },
) {
  const { keeper, authorizations, releaseCheck } = parts;
  const pushing = { ...ground, log: ground.log.in('pushes') };
  const ticketMemory = createTicketMemory(pushing.store, pushing.log);
  const onTicket = (arrived: ArrivedTicket) => {
    ticketMemory.remember(arrived);
    void keeper.lookAtSubject(arrived.appid, 'ticket');
  };
  const pendingTickets = createPendingTickets({ ...pushing, onStored: onTicket });
  const secrets = components.map((one) => ({ ...one, componentAppid: one.appid }));
  const onCode = (component: string, preAuthCode: string | undefined) => {
    void authorizations.work(component);
    const id = { kind: 'pre_auth_code', subject: component } as const;
    if (preAuthCode !== undefined) void noteUsed({ store: pushing.store, keeper }, id, preAuthCode);
  };
  const onRevoked = (component: string, authorizer: string) => {
    // So that this process remembers it, too.
    void keeper.look(authorizerToken(component, authorizer), 'patrol');
  };
  const receiver = createReceiver({
    ...{ ...pushing, components: secrets, pendingTickets, onTicket, onCode, onRevoked },
    replyTo: (message) => releaseCheck.replyTo(message),
  });
  return { ticketMemory, pendingTickets, receiver };
}

/** What every replica goes round for by itself. */
function composePatrols(
  { components }: Config,
  parts: Ground & {
    keeper: Keeper;
    authorizations: Authorizations;
    reconciler: Reconciler;
    ticketMemory: TicketMemory;
    watch: SelfTestWatch;
  },
) {
  const { clock, store, api, keeper, ticketMemory, clocks, watch } = parts;
  const log = parts.log.in('credentials');
  const patrol = createPatrol(
    clock,
    log,
    () => ticketMemory.keep(components),
    () => keeper.patrol(),
    () => watchTickets({ store, api, log: parts.log.in('pushes'), components }),
    () => clocks.check(),
    () => watch.onPatrol(),
    // Not awaited, for the same reason as below.
    () => void parts.authorizations.workAll(),
    () => void parts.reconciler.patrol(),
  );
  // Of its own: thousands of slow calls for authorizers must not hold up the rest.
  return [patrol, createPatrol(clock, log, () => keeper.patrolAuthorizers())];
}

function connectStore(config: Config, log: Log, clock: Clock): Store {
  const settings = { url: config.redisUrl, protocol: config.redisProtocol };
  const redis = connectRedis(settings, log, 'commands', clock);
  const seal = createSeal(config.refreshTokenKeys);
  return { redis, keys: createKeys(config.redisKeyPrefix), time: createStoreTime(clock), seal };
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
