import { componentVerifyTicket } from './component-verify-ticket.ts';
import type { PushHandler } from './handler.ts';
import { recordEvent, recordMessage } from './record-event.ts';

/** Every InfoType with a handler of its own. */
const PUSH_HANDLERS: readonly PushHandler[] = [componentVerifyTicket];

/** The handler of an InfoType; unknown ones are recorded and answered `success`, as WeChat asks. */
export function handlerOf(infoType: string): Pick<PushHandler, 'handle'> {
  return PUSH_HANDLERS.find((handler) => handler.infoType === infoType) ?? recordEvent;
}

export { recordMessage };
