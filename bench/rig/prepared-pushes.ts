import { randomBytes, randomInt } from 'node:crypto';
import { userNameOf } from '../../src/sandbox/wechat/authorizer-profile.ts';
import {
  CONTENT_TYPES,
  documentOf,
  type PushFields,
} from '../../src/sandbox/wechat/push-document.ts';
import { randomMessageId, randomOpenid, sealPush } from '../../src/sandbox/wechat/push-message.ts';
import { authorizerAppid, COMPONENT } from './component.ts';
import type { Prepared } from './load.ts';

/**
 * Pushes as WeChat makes them, each with its own nonce and plaintext, signed now. Made by the means of
 * the simulator, but without its bookkeeping: it would remember each of a million tickets.
 */
export interface PreparedPush extends Prepared {
  /** What a ticket push brings; of a message its text. */
  value: string;
}

/** Milliseconds by which the first ticket of a run may be old: they live for 12 hours. */
const OLDEST_MS = 11 * 3600 * 1000;

/**
 * When the next tickets were made. Each is to be later than the one before, as WeChat's are: many of one
 * second are a case of its own, for which a store remembers more. There are only so many seconds in the
 * life of a ticket, so the loads of a run share them out.
 */
export class TicketTimes {
  readonly #share: number;
  #next: number;

  constructor(loads: number) {
    this.#share = OLDEST_MS / 1000 / (loads + 1);
    this.#next = Math.floor((Date.now() - OLDEST_MS) / 1000);
  }

  /** Unix seconds, spread over the share of one load. */
  take(count: number): number[] {
    const from = this.#next;
    this.#next += Math.floor(this.#share);
    return Array.from({ length: count }, (_, index) =>
      Math.floor(from + (index / count) * (this.#share - 1)),
    );
  }
}

export function prepareTickets(
  createTimes: readonly number[],
  ticket = () => `ticket@@@${randomBytes(60).toString('base64url')}`,
): PreparedPush[] {
  return createTimes.map((createTime) => {
    const value = ticket();
    const document = documentOf('xml', {
      AppId: COMPONENT.appid,
      CreateTime: createTime,
      InfoType: 'component_verify_ticket',
      ComponentVerifyTicket: value,
    });
    return seal(document, { AppId: COMPONENT.appid }, `/callback/${COMPONENT.appid}`, value);
  });
}

/** Texts that users send, to the accounts of as many authorizers. */
export function prepareMessages(count: number, authorizers: number): PreparedPush[] {
  return Array.from({ length: count }, (_, index) => {
    const authorizer = authorizerAppid(index % authorizers);
    const [account, openid] = [userNameOf(authorizer), randomOpenid()];
    const value = `message ${index} ${randomInt(1e9)}`;
    const document = documentOf('xml', {
      ToUserName: account,
      FromUserName: openid,
      CreateTime: unixSeconds(),
      MsgType: 'text',
      Content: value,
      MsgId: randomMessageId(),
    });
    const path = `/callback/${COMPONENT.appid}/${authorizer}`;
    return seal(document, { ToUserName: account }, path, value, openid);
  });
}

/** The same with both signatures of somebody who does not know the token. */
export function forge(push: PreparedPush): PreparedPush {
  const path = push.path.replaceAll(/(signature=)(\w)/g, (_, name: string, digit: string) => {
    return `${name}${digit === '0' ? '1' : '0'}`;
  });
  return { ...push, path };
}

function seal(
  document: string,
  outside: PushFields,
  path: string,
  value: string,
  openid?: string,
): PreparedPush {
  const { query, body } = sealPush(COMPONENT, document, outside, {
    format: 'xml' as const,
    timestamp: unixSeconds(),
    openid,
  });
  return {
    method: 'POST',
    path: `${path}?${new URLSearchParams(query).toString()}`,
    headers: { 'content-type': CONTENT_TYPES.xml, 'user-agent': 'Mozilla/4.0', accept: '*/*' },
    body,
    value,
  };
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
