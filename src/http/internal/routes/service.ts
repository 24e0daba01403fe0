import * as z from 'zod';
import { statusSchema } from '../../../status/schema.ts';
import { documentSchema, liveSchema, notReadySchema, readySchema } from '../openapi/answers.ts';
import type { Route } from '../route.ts';

/** How the service is: probes, the status, metrics, and what it offers. */

const statusQuery = z.object({
  lang: z.enum(['en', 'zh']).default('en').describe('Language of what is said about problems.'),
});

export const SERVICE_ROUTES = [
  {
    method: 'get',
    path: '/livez',
    scope: 'none',
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
  {
    method: 'get',
    path: '/status',
    scope: 'status:read',
    doc: {
      operationId: 'readStatus',
      summary: { en: 'Show everything that is known', zh: '查看全部状态' },
      description: 'Never a value. Answers 200 while Redis is away, too, and says so.',
      query: statusQuery,
      success: [{ status: 200, description: 'The status.', schema: statusSchema }],
      errors: [],
    },
  },
  {
    method: 'get',
    path: '/metrics',
    scope: 'status:read',
    doc: {
      operationId: 'readMetrics',
      summary: { en: 'Metrics for Prometheus', zh: 'Prometheus 指标' },
      description: 'Prometheus text format. Answers 200 while Redis is away, too, and says so.',
      success: [{ status: 200, description: 'The metrics.', contentType: 'text/plain' }],
      errors: [],
    },
  },
  {
    method: 'get',
    path: '/openapi.json',
    scope: 'status:read',
    doc: {
      operationId: 'readOpenapi',
      summary: { en: 'This API as an OpenAPI 3.1 document', zh: '本 API 的 OpenAPI 3.1 文档' },
      success: [{ status: 200, description: 'The document.', schema: documentSchema }],
      errors: [],
    },
  },
] as const satisfies readonly Route[];
