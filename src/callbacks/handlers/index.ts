import { authorized, updateAuthorized } from './authorized.ts';
import { componentVerifyTicket } from './component-verify-ticket.ts';
import type { PushHandler } from './handler.ts';
import { notices } from './notices.ts';
import { recordEvent, recordMessage } from './other-event.ts';
import { unauthorized } from './unauthorized.ts';

/** Every InfoType with a handler of its own. */
const PUSH_HANDLERS: readonly PushHandler[] = [
  componentVerifyTicket,
  authorized,
  updateAuthorized,
  unauthorized,
  ...notices,
];

const BY_INFO_TYPE = new Map(PUSH_HANDLERS.map((handler) => [handler.infoType, handler]));

/** The handler of an InfoType; unknown ones are recorded and answered `success`, as WeChat asks. */
export function handlerOf(infoType: string): Pick<PushHandler, 'handle'> {
  return BY_INFO_TYPE.get(infoType) ?? recordEvent;
}

export { recordMessage };
