import type { ErrorCode } from '../../../lib/errors.ts';
import type { RouteDoc } from '../route.ts';
import { authorizerListSchema, authorizerSchema, reconcileSchema } from '../openapi/answers.ts';

/** What the document says about authorizers and the comparison with WeChat's list. */

const STORED: readonly ErrorCode[] = ['unknown_component', 'store_unavailable'];
const THE_ONE = { status: 200, description: 'The authorizer.', schema: authorizerSchema };
const PROGRESS = { description: 'How far it has come.', schema: reconcileSchema };

export const AUTHORIZER_DOCS = {
  list: {
    operationId: 'listAuthorizers',
    summary: { en: 'List who authorized the component', zh: '列出已授权账号' },
    description: 'In the order of appids, in pages: `next` is the `after` of the following page.',
    success: [{ status: 200, description: 'One page.', schema: authorizerListSchema }],
    errors: ['bad_request', ...STORED],
  },
  one: {
    operationId: 'readAuthorizer',
    summary: { en: 'Show one authorizer', zh: '查看单个授权账号' },
    success: [THE_ONE],
    errors: ['not_found', ...STORED],
  },
  profile: {
    operationId: 'refreshAuthorizerProfile',
    summary: { en: 'Ask WeChat anew about one authorizer', zh: '重新向微信查询授权账号资料' },
    description: 'One call of api_get_authorizer_info.',
    success: [THE_ONE],
    errors: [
      ...[
        'not_found' as const,
        ...STORED,
        'wechat_unavailable' as const,
        'wechat_refused' as const,
      ],
      ...['no_ticket' as const, 'ticket_expired' as const, 'quota_exhausted' as const],
    ],
  },
  progress: {
    operationId: 'readReconciliation',
    summary: { en: "Show the comparison with WeChat's list", zh: '查看与微信授权列表的核对进度' },
    success: [{ status: 200, ...PROGRESS }],
    errors: STORED,
  },
  reconcile: {
    operationId: 'startReconciliation',
    summary: { en: "Start a comparison with WeChat's list", zh: '发起与微信授权列表的核对' },
    description: 'Goes on behind the answer; GET shows how far it has come.',
    success: [{ status: 202, ...PROGRESS }],
    errors: STORED,
  },
} satisfies Record<string, RouteDoc>;
