import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createAlerts, type Alerts } from './alerts/alerts.ts';
import { createAuthorizations } from './authorizers/code-exchange/queue.ts';
import { createReconciler } from './authorizers/reconciliation/runner.ts';
import { createReleaseCheck } from './authorizers/release-check.ts';
import { createPushTally } from './callbacks/push-tally.ts';
import { createReceiver } from './callbacks/receiver.ts';
import { createRefusedPushCounter } from './callbacks/refused-pushes.ts';
import { createKeyRing } from './config/api-keys.ts';
import { secretsOf, type Config } from './config/load.ts';
import { createDeliveries, type Deliveries } from './deliveries/deliveries.ts';
import { noteConsumed } from './credentials/note-consumed.ts';
import { inRoom, type Deps } from './credentials/deps.ts';
import { createKeeper, type Keeper } from './credentials/keeper.ts';
import { createLocalCopies } from './credentials/local-copy.ts';
import { createMaintenanceLoop } from './credentials/maintenance-loop.ts';
import { readCredential, type ReadContext } from './credentials/read.ts';
import { createPublicApp } from './http/public/app.ts';
import { createLayouts, type Layouts } from './layouts/publisher.ts';
import type { AuthorizationLinks } from './http/internal/handlers/authorization-links.ts';
import type { AuthorizationPages } from './http/public/authorize.ts';
import { createUpstreams } from './http/gateway/upstream.ts';
import { createPushFront } from './http/public/push-route.ts';
import type { Limits } from './http/server.ts';
import type { Seen } from './http/internal/route.ts';
import { systemClock, type Clock } from './lib/clock.ts';
import { createRedactor, type Log } from './lib/log.ts';
import { VERSION } from './lib/version.ts';
import { countLines, createMetrics, type Metrics } from './metrics/metrics.ts';
import { startNodeCron, type StartCron } from './schedule/cron.ts';
import { jobTable } from './schedule/jobs.ts';
import { createScheduler } from './schedule/scheduler.ts';
import { withoutSecrets, type SnapshotContext } from './status/context.ts';
import { shownRoutes } from './status/deliveries.ts';
import { shownLayouts } from './status/layouts.ts';
import { createHeartbeat } from './status/heartbeat.ts';
import { authorizerToken } from './store/authorizers/authorization.ts';
import { bindCode, readLinkOutcome } from './store/authorizers/link-outcomes.ts';
import { createClockWatch, type ClockWatch } from './store/operations/clock-skew.ts';
import { createEndedSessions } from './store/operations/ended-sessions.ts';
import { createSessionSecret } from './store/operations/session-secret.ts';
import { connectRedis } from './store/redis/connection.ts';
import { createKeys } from './store/redis/keys.ts';
import { createSelfTestWatch } from './store/redis/self-test-watch.ts';
import { whenBack } from './store/redis/shards.ts';
import type { Store } from './store/redis/store.ts';
import { createStoreTime } from './store/redis/time.ts';
import { createTokenEncryption } from './store/redis/token-encryption.ts';
import type { ArrivedTicket, TicketOutcome } from './store/tickets/ticket.ts';
import { createPendingTickets } from './tickets/pending.ts';
import { createTicketMemory } from './tickets/restore.ts';
import { watchTickets } from './tickets/watchdog.ts';
import { createWechatApi } from './wechat/client.ts';

/** Makes the parts of the service and joins them. `service.ts` starts and stops them. */

export interface PartsOptions {
  log: Log;
  clock?: Clock;
  startCron?: StartCron;
  /** Of both listeners, where tests cannot wait for the usual ones. */
  limits?: Partial<Limits>;
}

/** Seconds' worth of authorizers that may be refreshed at once after a pause. */
const BURST_SECONDS = 2;

export type Parts = ReturnType<typeof createParts>;

/** Makes every part; nothing runs before its start, but for the connection to Redis. */
export function createParts(config: Config, options: PartsOptions) {
  const workers = createWorkers(config, options);
  const { deps, watch, pendingTickets, reconciler } = workers;
  const status = createStatus(config, workers);
  const alerts = createAlerts({
    ...inRoom(deps, 'alerts'),
    webhooks: config.alertWebhooks,
    proxies: config,
    context: status,
    version: VERSION,
  });
  const loops = createLoops(config, workers, alerts);
  let wasThere = false;
  whenBack(deps.store.redis, () => {
    watch.now();
    void pendingTickets.flush();
    // What a process has not seen yet, it cannot give back.
    if (wasThere) reconciler.onRedisBack();
    wasThere = true;
    for (const one of loops) one.now();
  });
  return { ...workers, ...createPublic(config, workers), status, alerts, loops };
}

type Workers = ReturnType<typeof createWorkers>;

/** In the order of their rooms: store, credentials, authorizers, pushes, schedule. */
function createWorkers(config: Config, options: PartsOptions) {
  const { components, accounts } = config;
  const { startCron = startNodeCron } = options;
  const { deps, clocks, metrics } = createGround(config, options);
  const { store, clock, replica } = deps;
  const startedAt = clock.now();

  const perSecond = config.authorizerRefreshesPerSecond;
  const layouts: Layouts | undefined = createLayouts({
    ...inRoom(deps, 'layouts'),
    layouts: config.layouts,
    redis: config.redis,
    subjects: { components, accounts },
    onTaken: (id, value) => void noteConsumed({ store, keeper }, id, value),
  });
  const refreshing = {
    ...inRoom(deps, 'credentials'),
    memory: createLocalCopies(clock, store.time),
    windowMs: config.refreshWindowMs,
    publish: layouts?.publish,
  };
  const keeper = createKeeper({
    ...refreshing,
    subjects: { components, accounts },
    rateLimit: { perSecond, burst: perSecond * BURST_SECONDS },
    onOutcome: metrics.counters.onOutcome,
  });
  const reading = { ...refreshing, keeper };
  const deliveries = createDelivering(config, deps, metrics);
  const onAuthorized = (component: string) => deliveries.authorized(component);
  const authorizers = createAuthorizers(config, reading, clocks, onAuthorized);
  const others = { ...authorizers, deliveries, layouts };
  const pushes = createPushes(config, deps, keeper, others, metrics);

  const jobs = jobTable(config, keeper);
  const scheduler = createScheduler({ ...inRoom(deps, 'schedule'), startCron, jobs });
  const appids = [...components, ...accounts].map(({ appid }) => appid);
  return {
    deps,
    clocks,
    metrics,
    startedAt,
    keeper,
    reading,
    ...authorizers,
    deliveries,
    layouts,
    ...pushes,
    jobs,
    scheduler,
    watch: createSelfTestWatch(store, deps.log.in('store'), clock, appids),
    heartbeat: createHeartbeat(store, replica, VERSION, () => keeper.isRestoring()),
    sessionSecret: createSessionSecret(store),
    endedSessions: createEndedSessions(store, clock),
    keyRing: createKeyRing(config.apiKeys),
    /** Of the process. */
    state: { stopping: false },
  };
}

function createDelivering(config: Config, deps: Deps, { counters }: Metrics): Deliveries {
  return createDeliveries({
    ...inRoom(deps, 'deliveries'),
    components: withAppids(config.components),
    routes: config.routes,
    networks: config.deliveryNetworks,
    mostBytes: config.deliveryBytes,
    onAttempt: counters.onDelivery,
    onReply: counters.onReply,
  });
}

/** What all rooms work with: Redis, WeChat, the clocks. */
function createGround(config: Config, { log: plainLog, clock = systemClock }: PartsOptions) {
  const metrics = createMetrics();
  const { onLine, onCall } = metrics.counters;
  const log = countLines(plainLog, onLine);
  const replica = `${hostname()}-${process.pid}-${randomBytes(2).toString('hex')}`;
  const store: Store = {
    redis: connectRedis(config.redis, log.in('store'), 'commands', clock),
    keys: createKeys(config.redisKeyPrefix),
    time: createStoreTime(clock),
    encryption: createTokenEncryption(config.refreshTokenKeys),
  };
  const clocks = createClockWatch({
    clock,
    time: store.time,
    redis: store.redis,
    log: log.in('store'),
  });
  const api = createWechatApi({
    baseUrls: config.wechatApiBaseUrls,
    proxies: config,
    clock,
    log: log.in('wechat'),
    onDate: (at) => clocks.heardFromWechat(at),
    onCall,
  });
  const deps: Deps = { store, api, clock, log, replica };
  return { deps, clocks, metrics };
}

/** What becomes of the accounts that authorize a component. */
function createAuthorizers(
  config: Config,
  reading: ReadContext,
  clocks: ClockWatch,
  onAuthorized: (component: string) => void,
) {
  const { clock, keeper } = reading;
  const context = {
    ...inRoom(reading, 'authorizers'),
    wechatNow: () => clock.now() - (clocks.skew().processVsWechat ?? 0),
    components: config.components.map(({ appid }) => appid),
  };
  const reconciler = createReconciler(context);
  const authorizations = createAuthorizations({
    ...context,
    onAuthorized: (component, authorizer) => {
      void keeper.ensureFresh(authorizerToken(component, authorizer), 'patrol');
      onAuthorized(component);
    },
    onLost: (component) => {
      reconciler.request(component).catch((error: unknown) => {
        context.log.warn('a reconciliation could not be asked for', { component, error });
      });
    },
  });
  return { reconciler, authorizations, releaseCheck: createReleaseCheck(context) };
}

/** As the envelope has them. */
function withAppids(components: Config['components']) {
  return components.map((one) => ({ ...one, componentAppid: one.appid }));
}

/** Pushes on their way in, and what is remembered of tickets. */
function createPushes(
  config: Config,
  deps: Deps,
  keeper: Keeper,
  { authorizations, releaseCheck, deliveries, layouts }: Others,
  metrics: Metrics,
) {
  const { components } = config;
  const pushing = inRoom(deps, 'pushes');
  const { store, clock, log } = pushing;
  const ticketMemory = createTicketMemory(store, log);
  const onTicket = (arrived: ArrivedTicket, outcome: TicketOutcome) => {
    ticketMemory.remember(arrived, outcome);
    layouts?.onTicket(arrived.appid);
    void keeper.ensureAllOf(arrived.appid, 'ticket');
  };
  const pendingTickets = createPendingTickets({ store, clock, log, onStored: onTicket });
  // Takes out of a stranger's text what may not be shown.
  const clean = createRedactor(secretsOf(config));
  const refusedPushes = createRefusedPushCounter({
    ...pushing,
    components: components.map(({ appid }) => appid),
    mask: (text) => String(clean(text)),
  });
  const tally = createPushTally(log, clock);
  const receiver = createReceiver({
    ...pushing,
    components: withAppids(components),
    pendingTickets,
    onTicket,
    onCode(component, preAuthCode) {
      void authorizations.work(component);
      const id = { kind: 'pre_auth_code', subject: component } as const;
      if (preAuthCode !== undefined) void noteConsumed({ store, keeper }, id, preAuthCode);
    },
    onRevoked(component, authorizer) {
      // So that this process remembers it, too.
      void keeper.ensureFresh(authorizerToken(component, authorizer), 'patrol');
    },
    tally,
    onPush: metrics.counters.onPush,
    nextMoment: () => refusedPushes.nextMoment(),
    onAccepted: (...push) => refusedPushes.accepted(...push),
    replyTo: (message) => releaseCheck.replyTo(message),
    ...(deliveries.planDeliveries && {
      planDeliveries: deliveries.planDeliveries,
      replies: deliveries.replies,
      onPlanned: (component) => deliveries.kick(component),
    }),
  });
  return { ticketMemory, pendingTickets, refusedPushes, tally, receiver };
}

type Others = ReturnType<typeof createAuthorizers> & {
  deliveries: Deliveries;
  layouts: Layouts | undefined;
};

/** What the status, and all that is made from it, looks at. */
function createStatus(config: Config, workers: Workers): SnapshotContext {
  const { deps, clocks, reconciler, pendingTickets, refusedPushes, scheduler, watch } = workers;
  return {
    store: deps.store,
    clock: deps.clock,
    windowMs: config.refreshWindowMs,
    refreshesPerSecond: config.authorizerRefreshesPerSecond,
    publicBaseUrl: config.publicBaseUrl,
    routes: shownRoutes(config.routes),
    layouts: shownLayouts(config.layouts),
    components: withoutSecrets(config.components),
    accounts: config.accounts,
    reconciliation: (component) => reconciler.progress(component),
    self: {
      replica: deps.replica,
      version: VERSION,
      startedAt: workers.startedAt,
      jobs: workers.jobs,
      nextTick: (kind, notBefore) => scheduler.nextTick(kind, notBefore),
      ticketsWaiting: () => pendingTickets.components(),
      writeRefused: () => refusedPushes.flush(),
      selfTest: () => watch.last(),
      clockSkew: () => clocks.skew(),
    },
  };
}

/** What every replica goes round for by itself. */
function createLoops({ components, alertWebhooks }: Config, workers: Workers, alerts: Alerts) {
  const { deps, keeper, ticketMemory, clocks, watch, heartbeat } = workers;
  const { clock, log } = inRoom(deps, 'credentials');
  const loop = createMaintenanceLoop(
    clock,
    log,
    () => heartbeat.beat(),
    () => ticketMemory.keep(components),
    () => keeper.ensureConfigured(),
    () => watchTickets({ ...inRoom(deps, 'pushes'), components }),
    () => clocks.check(),
    () => watch.onRound(),
    () => workers.sessionSecret.keep(),
    () => workers.endedSessions.keep(),
    () => workers.deliveries.keep(),
    // Not awaited, for the same reason as below.
    () => void workers.authorizations.workAll(),
    () => void workers.reconciler.runDue(),
  );
  // Of their own: thousands of slow calls for authorizers must not hold up the rest, and whatever is
  // slow must not hold up the news of it.
  const ofAuthorizers = createMaintenanceLoop(clock, log, () => keeper.ensureAuthorizers());
  const ofAlerts = createMaintenanceLoop(clock, deps.log.in('alerts'), () => alerts.check());
  const { layouts } = workers;
  const ofLayouts =
    layouts && createMaintenanceLoop(clock, deps.log.in('layouts'), () => layouts.keep());
  return [
    loop,
    ofAuthorizers,
    ...(alertWebhooks.length > 0 ? [ofAlerts] : []),
    ...(ofLayouts ? [ofLayouts] : []),
  ];
}

/** What WeChat and merchants reach. */
function createPublic(config: Config, workers: Workers) {
  const { deps, reading, authorizations, receiver, refusedPushes: refused } = workers;
  const { store, clock } = deps;
  const links: AuthorizationLinks = {
    components: config.components,
    publicBaseUrl: config.publicBaseUrl,
    clock,
    readOutcome: (component, id) => readLinkOutcome(store, component, id),
  };
  const pages: AuthorizationPages = {
    ...links,
    wechatAuthorizationUrls: config.wechatAuthorizationUrls,
    apiKeys: workers.keyRing.list,
    async takePreAuthCode(component, link) {
      const code = await readCredential(reading, { kind: 'pre_auth_code', subject: component });
      await bindCode(store, component, code.value, link);
      return code;
    },
    takeCode: (...code) => authorizations.takeCode(...code),
  };
  const log = deps.log.in('http');
  const observe = (seen: Seen) => workers.metrics.counters.onRequest('public', seen);
  return {
    links,
    publicApp: createPublicApp(receiver, log, pages, observe, refused),
    publicFront: createPushFront({ receiver, log, refused, observe }),
    upstreams: createUpstreams(config.wechatApiBaseUrls, config),
  };
}

/**
 * Loads what pushes do without, most of all the dashboard and the document of the API. At once, although
 * some of it is needed only much later: what cannot be loaded must be noticed by whoever starts the
 * process, not by a user.
 */
export async function loadTheRest(config: Config, parts: Parts) {
  const { createInternalListener } = await import('./http/internal/listener.ts');
  await import('./http/public/authorize.ts');
  await parts.metrics.load();
  await parts.deliveries.load();
  return createInternalListener(config, parts);
}
