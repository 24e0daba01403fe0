import type { RequestHandler, Router } from 'express';
import * as z from 'zod';
import type { ApiKey } from '../../config/api-keys.ts';
import type { ReportContext } from '../../credentials/report-invalid.ts';
import type { Log } from '../../lib/log.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { SnapshotContext } from '../../status/context.ts';
import { statusSchema } from '../../status/schema.ts';
import { takeSnapshot } from '../../status/snapshot.ts';
import { visibleTo } from './caller.ts';
import type { Audit } from './audit.ts';
import {
  authorizationLinkRoutes,
  type AuthorizationLinks,
} from './handlers/authorization-links.ts';
import { authorizerRoutes, type AuthorizersOptions } from './handlers/authorizers.ts';
import { credentialRoutes } from './handlers/credentials.ts';
import { metricsRoute } from './handlers/service.ts';
import { operationsRoutes } from './handlers/operations.ts';
import { documentSchema, liveSchema, notReadySchema, readySchema } from './openapi/answers.ts';
import { describeApi } from './openapi/document.ts';
import type { Route, Seen } from './route.ts';

export interface InternalAppOptions {
  apiKeys: readonly ApiKey[];
  reading: ReportContext;
  status: SnapshotContext;
  authorizationLinks?: AuthorizationLinks;
  authorizers?: AuthorizersOptions;
  /** Why this process should get no traffic, or undefined when it is ready. */
  notReady: () => Promise<string | undefined> | string | undefined;
  log: Log;
  /** The trail; one that is only logged, unless given. */
  audit?: Audit;
  /** `GET /metrics`. */
  metrics?: Route;
  /** Pages for people. They authenticate by a session cookie, not by the table's scopes. */
  dashboard?: Router;
  /** Called once for each finished response. */
  observe?: (seen: Seen) => void;
}

/** The whole table of the internal listener, but for the dashboard, which has sessions of its own. */
export function internalRoutes(options: InternalAppOptions): readonly Route[] {
  const { authorizationLinks: links, authorizers, metrics } = options;
  const routes: readonly Route[] = [
    ...probeRoutes(options.notReady),
    statusRoute(options.status),
    ...(metrics === undefined ? [] : [metrics]),
    openapiRoute(() => describeApi(routes)),
    ...credentialRoutes(options.reading),
    ...(links === undefined ? [] : authorizationLinkRoutes(links)),
    ...(authorizers === undefined ? [] : authorizerRoutes(authorizers)),
    ...(links === undefined || authorizers === undefined
      ? []
      : operationsRoutes({ ...authorizers.context, components: links.components })),
  ];
  return routes;
}

/** The table without a service behind it, for documents: its handlers must not be called. */
export function tableOfRoutes(): readonly Route[] {
  const metrics = metricsRoute({} as Metrics, {} as SnapshotContext);
  const parts = { authorizationLinks: {}, authorizers: {}, metrics } as InternalAppOptions;
  return internalRoutes(parts);
}

function probeRoutes(notReady: InternalAppOptions['notReady']): readonly Route[] {
  const live: RequestHandler = (_request, response) => {
    response.json({ status: 'ok' });
  };
  const ready: RequestHandler = async (_request, response) => {
    const reason = await notReady();
    response.status(reason === undefined ? 200 : 503);
    response.json(reason === undefined ? { status: 'ready' } : { status: 'not_ready', reason });
  };
  return [
    {
      method: 'get',
      path: '/livez',
      scope: 'none',
      handlers: [live],
      doc: {
        operationId: 'livez',
        summary: { en: 'Does the process answer?', zh: '进程是否存活' },
        description: 'Touches nothing else.',
        success: [{ status: 200, description: 'It does.', schema: liveSchema }],
        errors: [],
      },
    },
    {
      method: 'get',
      path: '/readyz',
      scope: 'none',
      handlers: [ready],
      doc: {
        operationId: 'readyz',
        summary: { en: 'Should it get traffic?', zh: '是否可以接收流量' },
        success: [
          { status: 200, description: 'Yes.', schema: readySchema },
          { status: 503, description: 'No: `reason` says why.', schema: notReadySchema },
        ],
        errors: [],
      },
    },
  ];
}

const statusQuery = z.object({
  lang: z.enum(['en', 'zh']).default('en').describe('Language of what is said about problems.'),
});

function statusRoute(status: SnapshotContext): Route {
  const show: RequestHandler = async (request, response) => {
    const language = request.query.lang === 'zh' ? 'zh' : 'en';
    response.json(await takeSnapshot(visibleTo(response, status), language));
  };
  return {
    method: 'get',
    path: '/status',
    scope: 'status:read',
    handlers: [show],
    doc: {
      operationId: 'readStatus',
      summary: { en: 'Show everything that is known', zh: '查看全部状态' },
      description: 'Never a value. Answers 200 while Redis is away, too, and says so.',
      query: statusQuery,
      success: [{ status: 200, description: 'The status.', schema: statusSchema }],
      errors: [],
    },
  };
}

function openapiRoute(describe: () => object): Route {
  let text: string | undefined;
  const show: RequestHandler = (_request, response) => {
    text ??= JSON.stringify(describe());
    response.type('application/json').send(text);
  };
  return {
    method: 'get',
    path: '/openapi.json',
    scope: 'status:read',
    handlers: [show],
    doc: {
      operationId: 'readOpenapi',
      summary: { en: 'This API as an OpenAPI 3.1 document', zh: '本 API 的 OpenAPI 3.1 文档' },
      success: [{ status: 200, description: 'The document.', schema: documentSchema }],
      errors: [],
    },
  };
}
