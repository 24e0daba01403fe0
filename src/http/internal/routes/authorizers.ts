import * as z from 'zod';
import { APPID } from '../../../config/appid.ts';
import type { ErrorCode } from '../../../lib/errors.ts';
import { AUTHORIZER_STATES } from '../../../store/authorizers/profile.ts';
import { authorizerListSchema, authorizerSchema, reconcileSchema } from '../openapi/answers.ts';
import type { Route } from '../route.ts';

/** Who has authorized a component: the list, one of them, and the comparison with WeChat's own list. */

const LIST = '/v1/components/:component/authorizers';
const ONE = `${LIST}/:authorizer`;
const PROFILE = `${ONE}/profile`;
const RECONCILE = '/v1/components/:component/reconcile';

const MAX_LIMIT = 200;

export const authorizerQuery = z.strictObject({
  limit: z
    .string('must be given once')
    .regex(/^(?:[1-9]|[1-9]\d|1\d\d|200)$/, `must be a whole number from 1 to ${MAX_LIMIT}`)
    .default('50')
    .transform(Number),
  after: z.string('must be given once').regex(APPID, 'must be an appid').optional(),
  search: z
    .string('must be given once')
    .min(1, 'must not be empty')
    .max(100, 'must have at most 100 characters')
    .optional(),
  state: z.enum(AUTHORIZER_STATES, `must be one of ${AUTHORIZER_STATES.join(', ')}`).optional(),
});

const STORED = ['unknown_component', 'store_unavailable'] as const satisfies ErrorCode[];
const THE_ONE = { status: 200, description: 'The authorizer.', schema: authorizerSchema };
const PROGRESS = { description: 'How far it has come.', schema: reconcileSchema };

export const AUTHORIZER_ROUTES = [
  {
    method: 'get',
    path: LIST,
    scope: 'status:read',
    doc: {
      operationId: 'listAuthorizers',
      summary: { en: 'List who authorized the component', zh: '列出已授权账号' },
      description: 'In the order of appids, in pages: `next` is the `after` of the following page.',
      query: authorizerQuery,
      success: [{ status: 200, description: 'One page.', schema: authorizerListSchema }],
      errors: ['bad_request', ...STORED],
    },
  },
  {
    method: 'get',
    path: ONE,
    scope: 'status:read',
    doc: {
      operationId: 'readAuthorizer',
      summary: { en: 'Show one authorizer', zh: '查看单个授权账号' },
      success: [THE_ONE],
      errors: ['not_found', ...STORED],
    },
  },
  {
    method: 'post',
    path: PROFILE,
    scope: 'admin',
    doc: {
      operationId: 'refreshAuthorizerProfile',
      summary: { en: 'Ask WeChat anew about one authorizer', zh: '重新向微信查询授权账号资料' },
      description: 'One call of api_get_authorizer_info.',
      success: [THE_ONE],
      errors: [
        'not_found',
        ...STORED,
        'wechat_unavailable',
        'wechat_refused',
        'no_ticket',
        'ticket_expired',
        'quota_exhausted',
      ],
    },
  },
  {
    method: 'get',
    path: RECONCILE,
    scope: 'status:read',
    doc: {
      operationId: 'readReconciliation',
      summary: { en: "Show the comparison with WeChat's list", zh: '查看与微信授权列表的核对进度' },
      success: [{ status: 200, ...PROGRESS }],
      errors: STORED,
    },
  },
  {
    method: 'post',
    path: RECONCILE,
    scope: 'admin',
    doc: {
      operationId: 'startReconciliation',
      summary: { en: "Start a comparison with WeChat's list", zh: '发起与微信授权列表的核对' },
      description: 'Goes on behind the answer; GET shows how far it has come.',
      success: [{ status: 202, ...PROGRESS }],
      errors: STORED,
    },
  },
] as const satisfies readonly Route[];
