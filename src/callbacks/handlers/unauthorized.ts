import * as z from 'zod';
import { authorizerToken, revokeAuthorization } from '../../store/authorizers/authorization.ts';
import { forgetCheck } from '../../store/authorizers/due-queue.ts';
import { mergeAuthorizer } from '../../store/authorizers/profile.ts';
import { appidField } from './authorized.ts';
import { eventEntry } from './event-entry.ts';
import type { PushHandler } from './handler.ts';
import { freshTimeOf } from './push-time.ts';
import {
  eventIdentities,
  isOddRepeat,
  orSendAgain,
  readFields,
  storeEvent,
} from './store-event.ts';

/**
 * An account ended its authorization. Its tokens go and a tombstone stays. One that is older than the
 * authorization that stands came late and ends nothing.
 * Source: developers.weixin.qq.com, 授权变更通知推送 (authorize_event).
 */
const unauthorizedFields = z.object({
  AuthorizerAppid: appidField,
});

export const unauthorized: PushHandler = {
  infoType: 'unauthorized',
  async handle(push, context) {
    const time = freshTimeOf(push, context);
    const identities = eventIdentities(push, time);
    const fields = readFields(push, context, unauthorizedFields);
    const record = () => storeEvent(push, context, identities, eventEntry(push));
    if (fields === undefined || (await isOddRepeat(push, context, time))) return record();
    const { store, log } = context;
    const { componentAppid: component } = push;
    const { AuthorizerAppid: authorizer } = fields;
    const id = authorizerToken(component, authorizer);
    const revokedAt = time.at;
    const outcome = await orSendAgain(async () => {
      const came = await revokeAuthorization(store, id, revokedAt);
      if (came === 'older') return came;
      await forgetCheck(store, id);
      await mergeAuthorizer(store, component, authorizer, { state: 'revoked', stateAt: revokedAt });
      return came;
    });
    const facts = { component, authorizer, create_time: String(Math.floor(revokedAt / 1000)) };
    if (outcome === 'older') log.info('a revocation came after a newer authorization', facts);
    else log.info('an account ended its authorization', facts);
    if (outcome === 'revoked') context.onRevoked(component, authorizer);
    return record();
  },
};
