import type { EventFields } from '../../store/events.ts';
import type { PushFields } from '../../wechat/push-xml.ts';
import type { OpenedPush } from './handler.ts';

/**
 * The stream entry of a push, as consumer groups read it: flat texts, and all fields of the XML as
 * JSON in `fields`.
 * @param secret names of fields that must not be copied into the stream
 */
export function eventEntry(push: OpenedPush, secret: readonly string[] = []): EventFields {
  const { fields, componentAppid, requestId, receivedAt } = push;
  const kept = Object.fromEntries(
    Object.entries(fields).filter(([name]) => !secret.includes(name)),
  );
  return {
    id: requestId,
    component_appid: componentAppid,
    authorizer_appid: text(fields, 'AuthorizerAppid') || text(fields, 'authorizer_appid'),
    info_type: text(fields, 'InfoType'),
    msg_type: text(fields, 'MsgType'),
    event: text(fields, 'Event'),
    create_time: text(fields, 'CreateTime'),
    received_at: new Date(receivedAt).toISOString(),
    fields: JSON.stringify(kept),
  };
}

function text(fields: PushFields, name: string): string {
  const value = fields[name];
  return typeof value === 'string' ? value : '';
}
