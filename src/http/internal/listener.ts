import type { Config } from '../../config/load.ts';
import type { KeyRing } from '../../config/api-keys.ts';
import type { Authorizations } from '../../authorizers/code-exchange/queue.ts';
import type { Reconciler } from '../../authorizers/reconciliation/runner.ts';
import type { Deps } from '../../credentials/deps.ts';
import type { Credential, ReadContext } from '../../credentials/read.ts';
import { createReportLimit } from '../../credentials/report-invalid.ts';
import { createSharedReads } from '../../credentials/shared-reads.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { SnapshotContext } from '../../status/context.ts';
import type { EndedSessions } from '../../store/operations/ended-sessions.ts';
import type { SessionSecret } from '../../store/operations/session-secret.ts';
import { createReadiness } from '../../store/redis/readiness.ts';
import type { SelfTestWatch } from '../../store/redis/self-test-watch.ts';
import { dashboardRoutes } from '../dashboard/routes.ts';
import { createInternalApp } from './app.ts';
import { createAudit } from './audit.ts';
import {
  authorizationLinkHandlers,
  type AuthorizationLinks,
} from './handlers/authorization-links.ts';
import { authorizerHandlers } from './handlers/authorizers.ts';
import { credentialHandlers } from './handlers/credentials.ts';
import { deliveryHandlers } from './handlers/deliveries.ts';
import { operationsHandlers } from './handlers/operations.ts';
import { serviceHandlers } from './handlers/service.ts';
import { facadeRoutes } from '../facade/routes.ts';
import { gatewayRoutes } from '../gateway/routes.ts';
import type { Upstreams } from '../gateway/upstream.ts';
import { createReadFront } from './read-front.ts';
import type { Seen } from './route.ts';

/** What is served to services and admins. */
export interface InternalParts {
  deps: Deps;
  /** For reads of credentials, and calls in a component's name. */
  reading: ReadContext;
  reconciler: Reconciler;
  authorizations: Pick<Authorizations, 'takeCode'>;
  upstreams: Upstreams;
  links: AuthorizationLinks;
  deliveries: { kick(component: string): void };
  status: SnapshotContext;
  metrics: Metrics;
  watch: SelfTestWatch;
  sessionSecret: SessionSecret;
  endedSessions: EndedSessions;
  keyRing: KeyRing;
  /** Of the process. */
  state: { readonly stopping: boolean };
}

/** What the API offers and what the dashboard does is the same. */
function offeredBy(config: Config, parts: InternalParts) {
  const { deps, reading, status, metrics } = parts;
  const { store, clock } = deps;
  const { components } = config;
  const platforms = components.map(({ appid }) => appid);
  const { onComplaint, onRead } = metrics.counters;
  const share = createSharedReads<Credential | undefined>(store.redis);
  return {
    apiKeys: parts.keyRing.list,
    audit: createAudit({ log: deps.log, clock, onRead }),
    reading: { ...reading, share, complaints: createReportLimit(clock), onComplaint },
    authorizers: { context: reading, reconciler: parts.reconciler, components: platforms },
    operations: { ...reading, components },
    deliveries: {
      store,
      components: platforms,
      routes: status.routes,
      kick: (component: string) => parts.deliveries.kick(component),
    },
    status,
    log: deps.log.in('http'),
  };
}

/**
 * What services and admins reach. Nothing else imports this file, and most of the code behind it, such as
 * the dashboard and the document of the API: it is loaded only once the public port takes pushes.
 */
export function createInternalListener(config: Config, parts: InternalParts) {
  const { deps, links, status, metrics, watch, state } = parts;
  const { components, accounts } = config;
  const { onRequest, onPassedOn } = metrics.counters;
  const appids = [...components, ...accounts].map(({ appid }) => appid);
  const readiness = createReadiness(deps.store, () => watch.last(), appids);
  const offered = offeredBy(config, parts);
  const observe = (seen: Seen) => onRequest('internal', seen);
  const notReady = async () => (state.stopping ? 'stopping' : await readiness());
  const app = createInternalApp({
    ...offered,
    observe,
    handlers: {
      ...serviceHandlers({ status, metrics, notReady }),
      ...credentialHandlers(offered.reading),
      ...authorizationLinkHandlers(links),
      ...authorizerHandlers(offered.authorizers),
      ...deliveryHandlers(offered.deliveries),
      ...operationsHandlers(offered.operations),
    },
    facade: facadeRoutes({
      ...offered,
      context: offered.reading,
      components: offered.authorizers.components,
      accounts: accounts.map(({ appid }) => appid),
      takeCode: parts.authorizations.takeCode,
      minExpiresIn: config.minExpiresIn,
    }),
    gateway: (requireScope) =>
      gatewayRoutes({
        ...offered,
        accounts,
        upstreams: parts.upstreams,
        requireScope,
        onCall: onPassedOn,
      }),
    dashboard: dashboardRoutes({
      ...offered,
      sessionSecret: parts.sessionSecret,
      endedSessions: parts.endedSessions,
    }),
  });
  return { app, front: createReadFront({ ...offered, observe }) };
}
