import type { ApiKey, KeyRing } from './api-keys.ts';
import type { Authorizations } from './authorizers/authorizations.ts';
import type { Reconciler } from './authorizers/reconcile.ts';
import type { Ground } from './compose-ground.ts';
import type { Config } from './config.ts';
import type { Keeper } from './credentials/keeper.ts';
import { readCredential, type Credential } from './credentials/read.ts';
import { createSharedReads } from './credentials/shared-reads.ts';
import { bindCode, readLinkOutcome } from './store/link-outcomes.ts';
import { createComplaintLimit } from './credentials/reject.ts';
import type { AuthorizationLinks } from './http/authorization-link-routes.ts';
import type { AuthorizationPages } from './http/authorization-pages.ts';
import { createAudit } from './http/audit.ts';
import { dashboardRoutes } from './http/dashboard/routes.ts';
import { createInternalApp, type InternalAppOptions } from './http/internal-app.ts';
import { metricsRoute } from './http/metrics-route.ts';
import { createPublicApp } from './http/public-app.ts';
import { createPushFront } from './http/push-route.ts';
import { createReadFront } from './http/read-front.ts';
import type { Seen } from './http/route.ts';
import type { ListenOptions } from './http/server.ts';
import type { Log } from './log.ts';
import type { PendingTickets } from './pushes/pending-tickets.ts';
import type { Receiver } from './pushes/receiver.ts';
import type { RefusedPushCounter } from './pushes/refused.ts';
import type { Job } from './schedule/jobs.ts';
import type { Scheduler } from './schedule/scheduler.ts';
import { withoutSecrets, type SnapshotContext } from './status/context.ts';
import type { EndedSessions } from './store/ended-sessions.ts';
import type { SessionSecret } from './store/session-secret.ts';
import { createReadiness } from './store/readiness.ts';
import type { SelfTestWatch } from './store/self-test-watch.ts';
import { VERSION } from './version.ts';

/** What the status, and all that is made from it, looks at. */
export interface Looked extends Ground {
  reconciler: Reconciler;
  pendingTickets: PendingTickets;
  refusedPushes: RefusedPushCounter;
  scheduler: Scheduler;
  watch: SelfTestWatch;
  jobs: readonly Job[];
  life: { stopping: boolean; startedAt: number };
}

export function composeStatus(config: Config, parts: Looked): SnapshotContext {
  const { components, accounts, publicBaseUrl } = config;
  const { pendingTickets, refusedPushes, scheduler, watch, clocks, reconciler, life } = parts;
  return {
    ...{ ...parts, startedAt: life.startedAt, version: VERSION, accounts, publicBaseUrl },
    components: withoutSecrets(components),
    ticketsWaiting: () => pendingTickets.components(),
    writeRefused: () => refusedPushes.flush(),
    nextTick: (kind, notBefore) => scheduler.nextTick(kind, notBefore),
    selfTest: () => watch.last(),
    clockSkew: () => clocks.skew(),
    refreshesPerSecond: config.authorizerRefreshesPerSecond,
    reconciliation: (component) => reconciler.progress(component),
  };
}

type Served = Omit<Looked, 'jobs'> & {
  keeper: Keeper;
  authorizations: Authorizations;
  receiver: Receiver;
  status: SnapshotContext;
  sessionSecret: SessionSecret;
  endedSessions: EndedSessions;
  keyRing: KeyRing;
};

/** What WeChat and merchants reach, and what services and admins reach. */
export function composeApps(config: Config, parts: Served) {
  const { components, publicBaseUrl } = config;
  const { store, clock } = parts;
  const common = {
    log: parts.log.in('http'),
    apiKeys: parts.keyRing.list,
    reading: { ...parts, log: parts.log.in('credentials') },
    links: {
      ...{ components, publicBaseUrl, clock },
      readOutcome: (component: string, id: string) => readLinkOutcome(store, component, id),
    },
  };
  return { ...composePublic(config, parts, common), ...composeInternal(config, parts, common) };
}

interface Common {
  log: Log;
  apiKeys: readonly ApiKey[];
  /** All parts, with the log of who works for them. */
  reading: Served;
  links: AuthorizationLinks;
}

function composePublic(config: Config, parts: Served, { log, apiKeys, reading, links }: Common) {
  const { store, authorizations, receiver, refusedPushes: refused } = parts;
  const { wechatAuthorizationUrls } = config;
  const pages: AuthorizationPages = {
    ...{ ...links, wechatAuthorizationUrls, apiKeys },
    async takePreAuthCode(component, link) {
      const code = await readCredential(reading, { kind: 'pre_auth_code', subject: component });
      await bindCode(store, component, code.value, link);
      return code;
    },
    takeCode: (...code) => authorizations.takeCode(...code),
  };
  const observe = (seen: Seen) => parts.metrics.counters.onRequest('public', seen);
  const publicApp = createPublicApp(receiver, log, pages, observe, refused);
  const publicDoor: ListenOptions = {
    front: createPushFront({ receiver, log, refused, observe }),
    onUnserved: (request, error) => void refused.note(request, error),
  };
  return { publicApp, publicDoor };
}

function composeInternal(config: Config, parts: Served, common: Common) {
  const { store, clock, reconciler, metrics, watch, life, status } = parts;
  const { log, apiKeys, reading, links } = common;
  const { components } = config;
  const { onComplaint, onRequest, onRead } = metrics.counters;
  const subjects = [...components, ...config.accounts].map(({ appid }) => appid);
  const readiness = createReadiness(store, () => watch.last(), subjects);
  const share = createSharedReads<Credential | undefined>(store.redis);
  // What the API offers and what the dashboard does is the same.
  const offered = {
    apiKeys,
    audit: createAudit({ log: parts.log, clock, onRead }),
    reading: { ...reading, share, complaints: createComplaintLimit(clock), onComplaint },
    authorizers: { context: reading, reconciler, components: components.map((one) => one.appid) },
    status,
    log,
  };
  const internal: InternalAppOptions = {
    ...offered,
    authorizationLinks: links,
    dashboard: dashboardRoutes({
      ...{ ...offered, operations: { ...reading, components } },
      ...{ sessionSecret: parts.sessionSecret, endedSessions: parts.endedSessions },
    }),
    metrics: metricsRoute(metrics, status),
    observe: (seen) => onRequest('internal', seen),
    notReady: async () => (life.stopping ? 'stopping' : await readiness()),
  };
  const internalApp = createInternalApp(internal);
  const internalDoor = { front: createReadFront(internal) };
  return { internalApp, internalDoor };
}
