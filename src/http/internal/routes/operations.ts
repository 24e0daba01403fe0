import { askedSchema } from '../openapi/answers.ts';
import type { Route } from '../route.ts';

/** What a person does when something is wrong at WeChat's side. */
export const OPERATIONS_ROUTES = [
  {
    method: 'post',
    path: '/v1/components/:component/start-push-ticket',
    scope: 'admin',
    doc: {
      operationId: 'startPushTicket',
      summary: { en: 'Ask WeChat to push tickets again', zh: '请求微信重新推送 ticket' },
      description:
        'Calls api_start_push_ticket; the ticket comes as a push, within ten minutes. Once a minute for ' +
        'each component. wxkeeper does it by itself after 30 minutes without a ticket.',
      success: [{ status: 202, description: 'WeChat has agreed.', schema: askedSchema }],
      errors: [
        'unknown_component',
        'too_many_requests',
        'store_unavailable',
        'wechat_unavailable',
        'wechat_refused',
      ],
    },
  },
] as const satisfies readonly Route[];
