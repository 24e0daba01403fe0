import type { RequestHandler } from 'express';
import { askForTickets, type TicketsContext } from '../../../tickets/request-push.ts';
import { callerOf } from '../caller.ts';
import { explain } from '../../explain.ts';
import type { HandlersOf } from '../route.ts';
import type { OPERATIONS_ROUTES } from '../routes/operations.ts';

/** What a person does when something is wrong at WeChat's side. */

export function operationsHandlers(context: TicketsContext): HandlersOf<typeof OPERATIONS_ROUTES> {
  return { startPushTicket: ask(context) };
}

function ask(context: TicketsContext): RequestHandler {
  return async (request, response) => {
    const component = String(request.params.component);
    await askForTickets(context, component, callerOf(response).key.id).catch(explain);
    response.status(202).json({ asked: true });
  };
}
