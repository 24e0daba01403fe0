import { linksOf, readingOf, type Served } from './compose-apps.ts';
import type { Config } from './config/load.ts';
import type { Credential } from './credentials/read.ts';
import { createReportLimit } from './credentials/report-invalid.ts';
import { createSharedReads } from './credentials/shared-reads.ts';
import { createAudit } from './http/internal/audit.ts';
import { dashboardRoutes } from './http/dashboard/routes.ts';
import { createInternalApp } from './http/internal/app.ts';
import type { InternalAppOptions } from './http/internal/routes.ts';
import { metricsRoute } from './http/internal/metrics-route.ts';
import { createReadFront } from './http/internal/read-front.ts';
import { createReadiness } from './store/redis/readiness.ts';

/**
 * What services and admins reach. A file of its own because most of the code behind it, such as the
 * dashboard and the document of the API, is loaded only once the public port takes pushes.
 */
export function composeInternal(config: Config, parts: Served) {
  const { store, clock, reconciler, metrics, watch, life, status } = parts;
  const { components } = config;
  const log = parts.log.in('http');
  const reading = readingOf(parts);
  const { onComplaint, onRequest, onRead } = metrics.counters;
  const subjects = [...components, ...config.accounts].map(({ appid }) => appid);
  const readiness = createReadiness(store, () => watch.last(), subjects);
  const share = createSharedReads<Credential | undefined>(store.redis);
  // What the API offers and what the dashboard does is the same.
  const offered = {
    apiKeys: parts.keyRing.list,
    audit: createAudit({ log: parts.log, clock, onRead }),
    reading: { ...reading, share, complaints: createReportLimit(clock), onComplaint },
    authorizers: { context: reading, reconciler, components: components.map((one) => one.appid) },
    status,
    log,
  };
  const internal: InternalAppOptions = {
    ...offered,
    authorizationLinks: linksOf(config, parts),
    dashboard: dashboardRoutes({
      ...offered,
      operations: { ...reading, components },
      sessionSecret: parts.sessionSecret,
      endedSessions: parts.endedSessions,
    }),
    metrics: metricsRoute(metrics, status),
    observe: (seen) => onRequest('internal', seen),
    notReady: async () => (life.stopping ? 'stopping' : await readiness()),
  };
  return { internalApp: createInternalApp(internal), front: createReadFront(internal) };
}
