import type { RequestHandler } from 'express';
import { METRICS_CONTENT_TYPE, type Metrics } from '../../../metrics/metrics.ts';
import type { SnapshotContext } from '../../../status/context.ts';
import { visibleTo } from '../caller.ts';
import type { Route } from '../route.ts';

/** `GET /metrics`, for Prometheus. A key that is narrowed to appids sees only those. */
export function metricsRoute(metrics: Metrics, status: SnapshotContext): Route {
  const show: RequestHandler = async (_request, response) => {
    const text = await metrics.scrape(visibleTo(response, status));
    response.type(METRICS_CONTENT_TYPE).send(text);
  };
  return {
    method: 'get',
    path: '/metrics',
    scope: 'status:read',
    handlers: [show],
    doc: {
      operationId: 'readMetrics',
      summary: { en: 'Metrics for Prometheus', zh: 'Prometheus 指标' },
      description: 'Prometheus text format. Answers 200 while Redis is away, too, and says so.',
      success: [{ status: 200, description: 'The metrics.', contentType: 'text/plain' }],
      errors: [],
    },
  };
}
