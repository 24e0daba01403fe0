import type { KeyRing } from './config/api-keys.ts';
import type { Authorizations } from './authorizers/code-exchange/queue.ts';
import type { Reconciler } from './authorizers/reconciliation/runner.ts';
import type { Ground } from './compose-ground.ts';
import type { Config } from './config/load.ts';
import type { Keeper } from './credentials/keeper.ts';
import { readCredential } from './credentials/read.ts';
import { bindCode, readLinkOutcome } from './store/authorizers/link-outcomes.ts';
import type { AuthorizationPages } from './http/public/authorize.ts';
import { createPublicApp } from './http/public/app.ts';
import { createPushFront } from './http/public/push-route.ts';
import type { Seen } from './http/internal/route.ts';
import type { ListenOptions } from './http/server.ts';
import type { PendingTickets } from './tickets/pending.ts';
import type { Receiver } from './callbacks/receiver.ts';
import type { RefusedPushCounter } from './callbacks/refused.ts';
import type { Job } from './schedule/jobs.ts';
import type { Scheduler } from './schedule/scheduler.ts';
import { withoutSecrets, type SnapshotContext } from './status/context.ts';
import type { EndedSessions } from './store/operations/ended-sessions.ts';
import type { SessionSecret } from './store/operations/session-secret.ts';
import type { SelfTestWatch } from './store/redis/self-test-watch.ts';
import { VERSION } from './lib/version.ts';

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
    ...parts,
    startedAt: life.startedAt,
    version: VERSION,
    accounts,
    publicBaseUrl,
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

/** What both applications are made of. */
export interface Served extends Omit<Looked, 'jobs'> {
  keeper: Keeper;
  authorizations: Authorizations;
  receiver: Receiver;
  status: SnapshotContext;
  sessionSecret: SessionSecret;
  endedSessions: EndedSessions;
  keyRing: KeyRing;
}

/** What WeChat and merchants reach. */
export function composePublic(config: Config, parts: Served) {
  const { store, authorizations, metrics, receiver, refusedPushes: refused } = parts;
  const reading = readingOf(parts);
  const pages: AuthorizationPages = {
    ...linksOf(config, parts),
    wechatAuthorizationUrls: config.wechatAuthorizationUrls,
    apiKeys: parts.keyRing.list,
    async takePreAuthCode(component, link) {
      const code = await readCredential(reading, { kind: 'pre_auth_code', subject: component });
      await bindCode(store, component, code.value, link);
      return code;
    },
    takeCode: (...code) => authorizations.takeCode(...code),
  };
  const log = parts.log.in('http');
  const observe = (seen: Seen) => metrics.counters.onRequest('public', seen);
  const publicApp = createPublicApp(receiver, log, pages, observe, refused);
  const publicDoor: ListenOptions = {
    front: createPushFront({ receiver, log, refused, observe }),
    onUnserved: (request, error) => void refused.note(request, error),
  };
  return { publicApp, publicDoor };
}

export function linksOf({ components, publicBaseUrl }: Config, { store, clock }: Served) {
  const readOutcome = (component: string, id: string) => readLinkOutcome(store, component, id);
  return { components, publicBaseUrl, clock, readOutcome };
}

export function readingOf(parts: Served) {
  return { ...parts, log: parts.log.in('credentials') };
}
