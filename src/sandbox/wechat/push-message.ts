import { randomBytes, randomInt } from 'node:crypto';
import { encryptMessage, sign } from '../../wechat/push/envelope.ts';
import { userNameOf } from './authorizer-profile.ts';
import type { PushFault } from './faults.ts';
import {
  CONTENT_TYPES,
  documentOf,
  envelopeOf,
  fieldOf,
  formatOf,
  type PushFields,
  type PushFormat,
} from './push-document.ts';
import type { AskedMessage } from './reply.ts';
import { sampleFields } from './samples.ts';
import { issue } from './values.ts';
import { signingSecrets } from './world.ts';
import type { Component, World } from './model.ts';

/** One push, ready to be sent or to be tampered with. */
export interface PushMessage {
  appid: string;
  infoType: string;
  /** Unix seconds. */
  createTime: number;
  /** The callback URL with `query`; `null` when the component has no callback URL. */
  url: string | null;
  query: Readonly<Record<string, string>>;
  contentType: string;
  /** The envelope that is posted. */
  body: string;
  /** What is encrypted inside it. */
  document: string;
  /** Of a user's message: what its reply must fit to. */
  asked?: AskedMessage;
}

export const TICKET_INFO_TYPE = 'component_verify_ticket';

/**
 * Builds a push to the authorization-event URL as of now.
 * @param infoTypeOrDocument an InfoType, or a whole inner document, told apart by its leading `<` or `{`
 * @param fields further elements of the inner document; without any, those of a sample. A ticket
 *   push without its ticket gets one
 * @throws RangeError when an old key or token is wanted that the component does not have
 */
export function buildPush(
  world: World,
  component: Component,
  infoTypeOrDocument: string,
  fields?: PushFields,
  fault: PushFault = {},
): PushMessage {
  const now = unixSeconds(world);
  const whole = formatOf(infoTypeOrDocument);
  const format = fault.format ?? whole ?? world.settings.format;
  const document =
    whole !== undefined
      ? infoTypeOrDocument
      : documentOf(fault.inside ?? format, {
          AppId: component.appid,
          CreateTime: now,
          InfoType: infoTypeOrDocument,
          ...(infoTypeOrDocument === TICKET_INFO_TYPE &&
            ticketField(world, component, fields ?? {})),
          ...(fields ?? sampleFields(world, component, infoTypeOrDocument)),
        });
  return {
    appid: component.appid,
    infoType: fieldOf(document, 'InfoType') ?? 'raw',
    ...finish(world, component, component.callbackUrl, { AppId: component.appid }, fault, {
      document,
      format,
      now,
    }),
  };
}

/**
 * Builds a user's message or event, to the message & event URL.
 * @param fields of the inner document beside those of every message, or instead of them
 * @throws RangeError as buildPush does
 */
export function buildMessage(
  world: World,
  component: Component,
  authorizer: string,
  fields: PushFields,
  fault: PushFault = {},
): PushMessage {
  const now = unixSeconds(world);
  const account = userNameOf(authorizer);
  const all: PushFields = {
    ToUserName: account,
    FromUserName: randomOpenid(),
    CreateTime: now,
    // An event has none.
    ...(fields['MsgType'] !== 'event' && { MsgId: randomMessageId() }),
    ...fields,
  };
  const format = fault.format ?? world.settings.format;
  const document = documentOf(fault.inside ?? format, all);
  const openid = textIn(all, 'FromUserName');
  const { key: encodingAesKey, token } = signingSecrets(component, fault);
  return {
    appid: authorizer,
    infoType: messageName(fields),
    asked: {
      component: { appid: component.appid, token, encodingAesKey },
      appid: authorizer,
      to: textIn(all, 'ToUserName') ?? '',
      from: openid ?? '',
      format,
      inside: fault.inside,
    },
    ...finish(
      world,
      component,
      messageUrlOf(component, authorizer),
      { ToUserName: account },
      fault,
      {
        document,
        format,
        now,
        openid,
      },
    ),
  };
}

function textIn(fields: PushFields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' ? value : undefined;
}

/** What the ledger calls a message: its type, and of an event the event, too. */
export function messageName({ MsgType: type, Event: event }: PushFields): string {
  return [type, event].filter((one) => typeof one === 'string').join(' ') || 'raw';
}

/** Encrypts, signs and addresses. */
function finish(
  world: World,
  component: Component,
  url: string | undefined,
  outside: PushFields,
  fault: PushFault,
  inside: { document: string; format: PushFormat; now: number; openid?: string | undefined },
): Omit<PushMessage, 'appid' | 'infoType'> {
  const { document, format, now, openid } = inside;
  const { key, token } = signingSecrets(component, fault);
  const secrets = { appid: component.appid, encodingAesKey: key, token };
  const { query, body } = sealPush(secrets, document, outside, { format, timestamp: now, openid });
  return {
    createTime: Number(fieldOf(document, 'CreateTime') ?? now),
    url: url === undefined ? null : withQuery(url, query),
    query,
    contentType: fault.contentType ?? world.settings.contentType ?? CONTENT_TYPES[format],
    body: fault.bom === true ? `\uFEFF${body}` : body,
    document,
  };
}

/**
 * The envelope and the query of a push, as WeChat makes them.
 * @param outside what stands beside Encrypt
 * @param how.timestamp Unix seconds
 * @param how.openid of the user, in the query of a message
 */
export function sealPush(
  { appid, encodingAesKey, token }: { appid: string; encodingAesKey: string; token: string },
  document: string,
  outside: PushFields,
  {
    format,
    timestamp,
    openid,
  }: { format: PushFormat; timestamp: number; openid?: string | undefined },
): { query: Record<string, string>; body: string } {
  const encrypted = encryptMessage(encodingAesKey, appid, document);
  const [time, nonce] = [String(timestamp), String(randomInt(100_000_000, 2_000_000_000))];
  return {
    query: {
      signature: sign(token, time, nonce, ''),
      timestamp: time,
      nonce,
      ...(openid !== undefined && { openid }),
      encrypt_type: 'aes',
      msg_signature: sign(token, time, nonce, encrypted),
    },
    body: envelopeOf(format, { ...outside, Encrypt: encrypted }),
  };
}

export function randomOpenid(): string {
  return `o${randomBytes(20).toString('base64url')}`;
}

/** As large as WeChat's: more than a double holds. */
export function randomMessageId(): string {
  return `24${randomInt(10 ** 8, 10 ** 9)}${randomInt(10 ** 7, 10 ** 8)}`;
}

/** Where the messages of an account go; undefined without a callback URL. */
function messageUrlOf({ messageUrl, callbackUrl }: Component, appid: string): string | undefined {
  if (messageUrl !== undefined) return messageUrl.replaceAll('$APPID$', appid);
  if (callbackUrl === undefined) return undefined;
  const url = new URL(callbackUrl);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${appid}`;
  return url.href;
}

/** Stands for a push that a fault swallowed before it was made. */
export function skippedPush(
  world: World,
  { appid }: Component,
  infoTypeOrDocument: string,
): PushMessage {
  const whole = formatOf(infoTypeOrDocument) !== undefined;
  return {
    appid,
    infoType: whole ? (fieldOf(infoTypeOrDocument, 'InfoType') ?? 'raw') : infoTypeOrDocument,
    createTime: unixSeconds(world),
    url: null,
    query: {},
    contentType: '',
    body: '',
    document: '',
  };
}

function unixSeconds(world: World): number {
  return Math.floor(world.clock.now() / 1000);
}

function ticketField(world: World, component: Component, fields: PushFields): PushFields {
  if ('ComponentVerifyTicket' in fields) return {};
  return { ComponentVerifyTicket: issue(world, component.appid, TICKET_INFO_TYPE).value };
}

function withQuery(callbackUrl: string, query: Readonly<Record<string, string>>): string {
  const url = new URL(callbackUrl);
  for (const [name, value] of Object.entries(query)) url.searchParams.append(name, value);
  return url.href;
}
