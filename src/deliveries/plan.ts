import type { Route } from '../config/routes.ts';
import { LEASE_MS } from '../store/deliveries/queue.ts';
import type { Store } from '../store/redis/store.ts';
import type { DeliveryPlan, EventFields } from '../store/tickets/push.ts';
import { textOf } from '../wechat/push/push-fields.ts';
import { routesFor } from './matching.ts';
import { traitsOf, type PushToDeliver } from './push-to-deliver.ts';

/**
 * What is to be delivered of a push, made before it is stored: the script that stores the push stores this
 * with it, so what was acknowledged is planned.
 */
export interface PlannedPush extends DeliveryPlan {
  /** Who is to answer the user, beside the others. */
  replier: Route | undefined;
}

/** @returns undefined when no route takes it */
export function planDeliveries(
  routes: readonly Route[],
  { keys, time }: Store,
  push: PushToDeliver,
): PlannedPush | undefined {
  const takers = routesFor(routes, traitsOf(push));
  if (takers.length === 0) return undefined;
  const { component, id } = push;
  const now = time.now();
  const replier = mayBeAnswered(push) ? takers.find(({ reply }) => reply) : undefined;
  const queues = takers.map(({ name }) => {
    const { fresh, replying, target } = keys.deliveries(component, name);
    if (push.awaits !== undefined)
      return { keys: [keys.heldPushes(component), target], score: now } as const;
    // It is ours from the beginning: nobody else shall send it while the user waits.
    if (name === replier?.name) return { keys: [replying, target], score: now + LEASE_MS } as const;
    return { keys: [fresh, target], score: now } as const;
  });
  return { id, kept: whatIsKept(push, takers), queues, replier };
}

/** One that names another account than its URL may have been captured: its sender sees no answer. */
function mayBeAnswered({ type, entry }: PushToDeliver): boolean {
  return type === 'message' && !(entry.odd ?? '').split(',').includes('another_account');
}

/** No more than its routes need. */
export function whatIsKept(push: PushToDeliver, takers: readonly Route[]): EventFields {
  const { entry, awaits } = push;
  const modes = new Set(takers.map(({ mode }) => mode));
  return {
    at: String(push.receivedAt),
    type: push.type,
    authorizer: push.authorizer ?? '',
    info_type: entry.info_type ?? '',
    msg_type: entry.msg_type ?? '',
    event: entry.event ?? '',
    targets: takers.map(({ name }) => name).join(','),
    ...(awaits === undefined ? {} : { awaits }),
    ...(modes.has('raw') ? rawParts(push) : {}),
    ...(modes.has('sealed') ? sealedParts(push) : {}),
    ...(modes.has('json') ? { json: jsonBody(push) } : {}),
  };
}

function rawParts({ body, query, contentType }: PushToDeliver): EventFields {
  const text = body.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(body);
  const own = Object.entries(query).filter(([, value]) => typeof value === 'string');
  return {
    ...(isText ? { body: text } : { body: body.toString('base64'), body_is: 'base64' }),
    query: JSON.stringify(Object.fromEntries(own)),
    content_type: contentType ?? '',
  };
}

function sealedParts({ message, format, query, fields }: PushToDeliver): EventFields {
  return {
    message,
    format,
    openid: typeof query.openid === 'string' ? query.openid : '',
    to: textOf(fields, 'ToUserName') ?? '',
  };
}

/** The same bytes at each attempt: receivers may compare them. */
function jsonBody({ id, component, authorizer, receivedAt, entry }: PushToDeliver): string {
  const { info_type: infoType = '', msg_type: msgType = '', event = '', fields = '{}' } = entry;
  const head = {
    id,
    type: infoType || (event === '' ? msgType : `event.${event}`) || 'unknown',
    timestamp: new Date(receivedAt).toISOString(),
    component_appid: component,
    authorizer_appid: authorizer ?? '',
    info_type: infoType,
    msg_type: msgType,
    event,
    create_time: entry.create_time ?? '',
    ...(entry.odd === undefined ? {} : { odd: entry.odd.split(',') }),
  };
  return `${JSON.stringify(head).slice(0, -1)},"data":${fields}}`;
}
