import type { RequestHandler } from 'express';
import { METRICS_CONTENT_TYPE, type Metrics } from '../../../metrics/metrics.ts';
import type { SnapshotContext } from '../../../status/context.ts';
import { takeSnapshot } from '../../../status/snapshot.ts';
import { visibleTo } from '../caller.ts';
import { describeApi } from '../openapi/document.ts';
import type { HandlersOf } from '../route.ts';
import { ROUTES } from '../routes.ts';
import type { SERVICE_ROUTES } from '../routes/service.ts';

/** How the service is: probes, the status, metrics, and what it offers. */

export interface ServiceOptions {
  status: SnapshotContext;
  metrics: Pick<Metrics, 'scrape'>;
  /** Why this process should get no traffic, or undefined when it is ready. */
  notReady: () => Promise<string | undefined> | string | undefined;
}

export function serviceHandlers(options: ServiceOptions): HandlersOf<typeof SERVICE_ROUTES> {
  return {
    livez: (_request, response) => void response.json({ status: 'ok' }),
    readyz: showReadiness(options),
    readStatus: showStatus(options),
    readMetrics: showMetrics(options),
    readOpenapi: showDocument(),
  };
}

function showReadiness({ notReady }: ServiceOptions): RequestHandler {
  return async (_request, response) => {
    const reason = await notReady();
    response.status(reason === undefined ? 200 : 503);
    response.json(reason === undefined ? { status: 'ready' } : { status: 'not_ready', reason });
  };
}

function showStatus({ status }: ServiceOptions): RequestHandler {
  return async (request, response) => {
    const language = request.query.lang === 'zh' ? 'zh' : 'en';
    response.json(await takeSnapshot(visibleTo(response, status), language));
  };
}

/** For Prometheus. A key that is narrowed to appids sees only those. */
function showMetrics({ metrics, status }: ServiceOptions): RequestHandler {
  return async (_request, response) => {
    const text = await metrics.scrape(visibleTo(response, status));
    response.type(METRICS_CONTENT_TYPE).send(text);
  };
}

function showDocument(): RequestHandler {
  let text: string | undefined;
  return (_request, response) => {
    text ??= JSON.stringify(describeApi(ROUTES));
    response.type('application/json').send(text);
  };
}
