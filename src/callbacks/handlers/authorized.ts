import * as z from 'zod';
import { addExchange } from '../../store/authorizers/code-exchange.ts';
import { readAppid } from '../../config/appid.ts';
import { eventEntry } from './event-entry.ts';
import type { HandlerContext, OpenedPush, PushHandler, PushOutcome } from './handler.ts';
import { freshTimeOf, type PushTime } from './push-time.ts';
import {
  eventIdentities,
  isOddRepeat,
  orSendAgain,
  readFields,
  storeEvent,
} from './store-event.ts';

/**
 * An account authorized the platform, or changed what it grants. The code in it is exchanged behind the
 * answer; it is stored before, because the event may never come again.
 * Source: developers.weixin.qq.com, 授权变更通知推送 (authorize_event).
 */

export const appidField = z.string().transform((text, context) => {
  const appid = readAppid(text.trim());
  if (appid !== undefined) return appid;
  context.issues.push({ code: 'custom', message: 'no appid', input: text });
  return z.NEVER;
});
/** WeChat names no length, and what it signed is bounded by the body. */
export const codeField = z
  .string()
  .trim()
  .regex(/^[\x21-\x7E]+$/);
const authorizedFields = z.object({
  AuthorizerAppid: appidField,
  AuthorizationCode: codeField,
  // What is odd about these is no reason to lose the code.
  AuthorizationCodeExpiredTime: z.string().max(32).optional().catch(undefined),
  PreAuthCode: z.string().max(512).optional().catch(undefined),
});

/** WeChat says whose a code is when it is exchanged: it is good without an account, too. */
const namelessFields = authorizedFields.extend({
  AuthorizerAppid: appidField.optional().catch(undefined),
});

/** Seconds a code lives when WeChat does not say; its own samples say so. */
const CODE_LIFE_SECONDS = 600;
/** Seconds: no code lives longer, by anybody's measure. */
const MAX_CODE_LIFE_SECONDS = 7200;
/** What is larger is a moment, what is smaller a duration. */
const MOMENT = 1e9;

export const authorized: PushHandler = handlerFor('authorized');
export const updateAuthorized: PushHandler = handlerFor('updateauthorized');

function handlerFor(infoType: string): PushHandler {
  return {
    infoType,
    async handle(push, context) {
      const time = freshTimeOf(push, context);
      const fields =
        readFields(push, context, authorizedFields) ?? namelessFields.safeParse(push.fields).data;
      if (fields === undefined) {
        return storeEvent(push, context, eventIdentities(push, time), eventEntry(push));
      }
      return takeCode(push, context, time, {
        authorizer: fields.AuthorizerAppid,
        code: fields.AuthorizationCode,
        expiresAt: codeExpiry(fields.AuthorizationCodeExpiredTime, time.at),
        preAuthCode: fields.PreAuthCode,
      });
    },
  };
}

/** A code that an event brought, on its way to be exchanged. @throws KeeperError */
export async function takeCode(
  push: OpenedPush,
  context: HandlerContext,
  time: PushTime,
  arrived: ArrivedCode,
): Promise<PushOutcome> {
  const store = (options = {}) =>
    storeEvent(push, context, eventIdentities(push, time), eventEntry(push), options);
  if (await isOddRepeat(push, context, time)) return store();
  const { componentAppid: component } = push;
  const { id } = await orSendAgain(() =>
    addExchange(context.store, component, { ...arrived, authorizedAt: time.at }),
  );
  // Already now: were the event not stored, WeChat would send it again, and the code is known then.
  context.onCode(component, arrived.preAuthCode);
  return store({ awaits: id });
}

export interface ArrivedCode {
  /** Undefined when it cannot be read. */
  authorizer: string | undefined;
  code: string;
  /** Epoch ms by WeChat's clock. */
  expiresAt: number;
  preAuthCode?: string | undefined;
}

/**
 * When a code ends, epoch ms. The page calls AuthorizationCodeExpiredTime a number of seconds, but real
 * pushes carry the moment itself.
 */
export function codeExpiry(stated: string | undefined, createdAt: number): number {
  const number = stated !== undefined && /^\d{1,12}$/.test(stated) ? Number(stated) : 0;
  const life = number > MOMENT ? number - createdAt / 1000 : number;
  const seconds = life > 0 ? Math.min(life, MAX_CODE_LIFE_SECONDS) : CODE_LIFE_SECONDS;
  return createdAt + seconds * 1000;
}
