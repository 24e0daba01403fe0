import type { RequestHandler } from 'express';
import { askForTickets, type TicketsContext } from '../../../tickets/request-push.ts';
import { callerOf } from '../caller.ts';
import { explain } from '../../explain.ts';
import { askedSchema } from '../openapi/answers.ts';
import type { Route } from '../route.ts';

/** What a person does when something is wrong at WeChat's side. */

const START_PUSH_TICKET = '/v1/components/:component/start-push-ticket';

export function operationsRoutes(context: TicketsContext): readonly Route[] {
  return [
    {
      method: 'post',
      path: START_PUSH_TICKET,
      scope: 'admin',
      handlers: [ask(context)],
      doc: {
        operationId: 'startPushTicket',
        summary: { en: 'Ask WeChat to push tickets again', zh: '请求微信重新推送 ticket' },
        description:
          'Calls api_start_push_ticket; the ticket comes as a push, within ten minutes. Once a minute for ' +
          'each component. wxkeeper does it by itself after 30 minutes without a ticket.',
        success: [{ status: 202, description: 'WeChat has agreed.', schema: askedSchema }],
        errors: [
          ...(['unknown_component', 'too_many_requests', 'store_unavailable'] as const),
          ...(['wechat_unavailable', 'wechat_refused'] as const),
        ],
      },
    },
  ];
}

function ask(context: TicketsContext): RequestHandler {
  return async (request, response) => {
    const component = String(request.params.component);
    await askForTickets(context, component, callerOf(response).key.id).catch(explain);
    response.status(202).json({ asked: true });
  };
}
