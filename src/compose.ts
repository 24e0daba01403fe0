import { createKeyRing } from './config/api-keys.ts';
import { createAuthorizations, type Authorizations } from './authorizers/code-exchange/queue.ts';
import { createReconciler, type Reconciler } from './authorizers/reconciliation/runner.ts';
import { createReleaseCheck, type ReleaseCheck } from './authorizers/release-check.ts';
import { composePublic, composeStatus } from './compose-apps.ts';
import { composeGround, type AppOptions, type Ground } from './compose-ground.ts';
import { secretsOf, type Config } from './config/load.ts';
import { createKeeper, type Keeper } from './credentials/keeper.ts';
import { createMaintenanceLoop } from './credentials/maintenance-loop.ts';
import { noteConsumed } from './credentials/consume.ts';
import { createRedactor } from './lib/log.ts';
import { createPendingTickets } from './tickets/pending.ts';
import { createPushTally } from './callbacks/push-tally.ts';
import { createReceiver } from './callbacks/receiver.ts';
import { createRefusedPushCounter } from './callbacks/refused.ts';
import { createTicketMemory, type TicketMemory } from './tickets/restore.ts';
import { watchTickets } from './tickets/watchdog.ts';
import { startNodeCron } from './schedule/cron.ts';
import { jobTable } from './schedule/jobs.ts';
import { createScheduler } from './schedule/scheduler.ts';
import { createAlerts, type Alerts } from './alerts/alerts.ts';
import { createHeartbeat, type Heartbeat } from './status/heartbeat.ts';
import type { SnapshotContext } from './status/context.ts';
import { authorizerToken } from './store/authorizers/authorization.ts';
import { createEndedSessions, type EndedSessions } from './store/operations/ended-sessions.ts';
import { createSessionSecret, type SessionSecret } from './store/operations/session-secret.ts';
import { createSelfTestWatch, type SelfTestWatch } from './store/redis/self-test-watch.ts';
import type { ArrivedTicket, TicketOutcome } from './store/tickets/ticket.ts';
import { VERSION } from './lib/version.ts';

/** The composition root: makes every part from the configuration and joins them. */

/** Seconds' worth of authorizers that may be refreshed at once after a pause. */
const BURST_SECONDS = 2;

/** Makes the parts in the order of their rooms: credentials, authorizers, pushes, schedule, http. */
export function compose(config: Config, options: AppOptions) {
  const ground = composeGround(config, options);
  const { store, clock, log, replica } = ground;
  const { components, accounts } = config;
  const life = { stopping: false, startedAt: clock.now() };

  const { onLook } = ground.metrics.counters;
  const refreshing = { ...ground, log: log.in('credentials'), onLook };
  const perSecond = config.authorizerRefreshesPerSecond;
  const rateLimit = { perSecond, burst: perSecond * BURST_SECONDS };
  const keeper = createKeeper({
    ...refreshing,
    rateLimit,
    subjects: { components, accounts },
  });
  const authorizers = composeAuthorizers(config, { ...ground, keeper });
  const { authorizations, reconciler, releaseCheck } = authorizers;
  const pushes = composePushes(config, ground, { keeper, authorizations, releaseCheck });
  const { ticketMemory, pendingTickets, refusedPushes, receiver, tally } = pushes;

  const subjects = [...components, ...accounts].map(({ appid }) => appid);
  const watch = createSelfTestWatch(store, log.in('store'), clock, subjects);
  const kept = { keeper, authorizations, reconciler };
  const heartbeat = createHeartbeat(store, replica, VERSION, () => keeper.isRestoring());
  const sessionSecret = createSessionSecret(store);
  const endedSessions = createEndedSessions(store, clock);
  const keyRing = createKeyRing(config.apiKeys);
  const jobs = jobTable(config, keeper);
  const { startCron = startNodeCron } = options;
  const scheduling = { store, clock, log: log.in('schedule'), startCron, replica, jobs };
  const scheduler = createScheduler(scheduling);

  const running = { pendingTickets, refusedPushes, tally, scheduler, watch };
  const status = composeStatus(config, { ...ground, ...kept, ...running, jobs, life });
  const alerts = composeAlerts(config, { ...ground, status });
  const rounds = { ticketMemory, watch, heartbeat, alerts, sessionSecret, endedSessions };
  const patrols = composePatrols(config, { ...ground, ...kept, ...rounds });
  let wasThere = false;
  store.redis.on('ready', () => {
    watch.now();
    void pendingTickets.flush();
    // What a process has not seen yet, it cannot give back.
    if (wasThere) reconciler.onRedisBack();
    wasThere = true;
    for (const one of patrols) one.now();
  });
  const own = { status, life, sessionSecret, endedSessions, keyRing };
  const served = { ...ground, ...kept, ...running, receiver, ...own };
  const reached = composePublic(config, served);
  return { ...served, ...reached, heartbeat, releaseCheck, patrols, alerts };
}

/** Who tells people of what the status finds wrong. */
function composeAlerts(config: Config, parts: Ground & { status: SnapshotContext }): Alerts {
  const { status: context, store, clock, replica } = parts;
  const said = { webhooks: config.alertWebhooks, context, replica, version: VERSION };
  return createAlerts({ store, clock, log: parts.log.in('alerts'), ...said });
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
      void keeper.ensureFresh(authorizerToken(component, authorizer), 'patrol');
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
  config: Config,
  ground: Ground,
  parts: { keeper: Keeper; authorizations: Authorizations; releaseCheck: ReleaseCheck },
) {
  const { components } = config;
  const { keeper, authorizations, releaseCheck } = parts;
  const pushing = { ...ground, log: ground.log.in('pushes') };
  const ticketMemory = createTicketMemory(pushing.store, pushing.log);
  const onTicket = (arrived: ArrivedTicket, outcome: TicketOutcome) => {
    ticketMemory.remember(arrived, outcome);
    void keeper.ensureAllOf(arrived.appid, 'ticket');
  };
  const pendingTickets = createPendingTickets({ ...pushing, onStored: onTicket });
  const secrets = components.map((one) => ({ ...one, componentAppid: one.appid }));
  const onCode = (component: string, preAuthCode: string | undefined) => {
    void authorizations.work(component);
    const id = { kind: 'pre_auth_code', subject: component } as const;
    if (preAuthCode !== undefined)
      void noteConsumed({ store: pushing.store, keeper }, id, preAuthCode);
  };
  const onRevoked = (component: string, authorizer: string) => {
    // So that this process remembers it, too.
    void keeper.ensureFresh(authorizerToken(component, authorizer), 'patrol');
  };
  const refusedPushes = createRefusedPushCounter({
    ...pushing,
    components: components.map(({ appid }) => appid),
    mask: maskerOf(config),
  });
  const tally = createPushTally(pushing.log, pushing.clock);
  const receiver = createReceiver({
    ...pushing,
    components: secrets,
    pendingTickets,
    onTicket,
    onCode,
    onRevoked,
    tally,
    onPush: ground.metrics.counters.onPush,
    nextMoment: () => refusedPushes.nextMoment(),
    onAccepted: (...push) => refusedPushes.accepted(...push),
    replyTo: (message) => releaseCheck.replyTo(message),
  });
  return { ticketMemory, pendingTickets, refusedPushes, receiver, tally };
}

/** Takes out of a stranger's text what may not be shown. */
function maskerOf(config: Config): (text: string) => string {
  const clean = createRedactor(secretsOf(config));
  return (text) => String(clean(text));
}

/** What every replica goes round for by itself. */
function composePatrols(
  { components, alertWebhooks }: Config,
  parts: Ground & {
    keeper: Keeper;
    authorizations: Authorizations;
    reconciler: Reconciler;
    ticketMemory: TicketMemory;
    watch: SelfTestWatch;
    heartbeat: Heartbeat;
    sessionSecret: SessionSecret;
    endedSessions: EndedSessions;
    alerts: Alerts;
  },
) {
  const { clock, store, api, keeper, ticketMemory, clocks, watch } = parts;
  const log = parts.log.in('credentials');
  const patrol = createMaintenanceLoop(
    clock,
    log,
    () => parts.heartbeat.beat(),
    () => ticketMemory.keep(components),
    () => keeper.ensureConfigured(),
    () => watchTickets({ store, api, log: parts.log.in('pushes'), components }),
    () => clocks.check(),
    () => watch.onPatrol(),
    () => parts.sessionSecret.keep(),
    () => parts.endedSessions.keep(),
    // Not awaited, for the same reason as below.
    () => void parts.authorizations.workAll(),
    () => void parts.reconciler.patrol(),
  );
  // Of their own: thousands of slow calls for authorizers must not hold up the rest, and whatever is
  // slow must not hold up the news of it.
  const ofAuthorizers = createMaintenanceLoop(clock, log, () => keeper.ensureAuthorizers());
  const ofAlerts = createMaintenanceLoop(clock, parts.log.in('alerts'), () => parts.alerts.check());
  return [patrol, ofAuthorizers, ...(alertWebhooks.length > 0 ? [ofAlerts] : [])];
}
