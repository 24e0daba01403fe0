import { randomInt } from 'node:crypto';
import { encryptMessage, sign } from '../wechat/envelope.ts';
import type { PushFault } from './faults.ts';
import { sampleFields } from './samples.ts';
import { issue } from './values.ts';
import { signingSecrets, type Component, type World } from './world.ts';

/** One push, ready to be sent or to be tampered with. */
export interface PushMessage {
  appid: string;
  infoType: string;
  /** Unix seconds. */
  createTime: number;
  /** The callback URL with `query`; `null` when the component has no callback URL. */
  url: string | null;
  query: Readonly<Record<string, string>>;
  /** The envelope that is posted. */
  body: string;
  /** What is encrypted inside it. */
  xml: string;
}

export const TICKET_INFO_TYPE = 'component_verify_ticket';

/**
 * Further elements of the inner document. Texts are wrapped in CDATA, numbers are not; fields of a
 * field are elements inside it.
 */
export interface PushFields {
  readonly [name: string]: string | number | PushFields;
}

/**
 * Builds a push as of now.
 * @param infoTypeOrXml an InfoType, or a whole inner document, told apart by its leading `<`
 * @param fields further elements of the inner document; without any, those of a sample. A ticket
 *   push without its ticket gets one
 * @throws RangeError when an old key or token is wanted that the component does not have
 */
export function buildPush(
  world: World,
  component: Component,
  infoTypeOrXml: string,
  fields?: PushFields,
  fault: PushFault = {},
): PushMessage {
  const now = unixSeconds(world);
  const xml = infoTypeOrXml.startsWith('<')
    ? infoTypeOrXml
    : innerXml(component.appid, now, infoTypeOrXml, {
        ...(infoTypeOrXml === TICKET_INFO_TYPE && ticketField(world, component, fields ?? {})),
        ...(fields ?? sampleFields(world, component, infoTypeOrXml)),
      });
  const { key, token } = signingSecrets(component, fault);
  const encrypted = encryptMessage(key, component.appid, xml);
  const query = signedQuery(token, String(now), encrypted);
  return {
    appid: component.appid,
    infoType: infoTypeOf(xml),
    createTime: Number(elementOf(xml, 'CreateTime') ?? now),
    url: component.callbackUrl === undefined ? null : withQuery(component.callbackUrl, query),
    query,
    body: `<xml><AppId>${cdata(component.appid)}</AppId><Encrypt>${cdata(encrypted)}</Encrypt></xml>`,
    xml,
  };
}

/** Stands for a push that a fault swallowed before it was made. */
export function skippedPush(
  world: World,
  component: Component,
  infoTypeOrXml: string,
): PushMessage {
  const infoType = infoTypeOrXml.startsWith('<') ? infoTypeOf(infoTypeOrXml) : infoTypeOrXml;
  const { appid } = component;
  return {
    appid,
    infoType,
    createTime: unixSeconds(world),
    url: null,
    query: {},
    body: '',
    xml: '',
  };
}

function unixSeconds(world: World): number {
  return Math.floor(world.clock.now() / 1000);
}

function infoTypeOf(xml: string): string {
  return elementOf(xml, 'InfoType') ?? 'raw';
}

function ticketField(world: World, component: Component, fields: PushFields): PushFields {
  if ('ComponentVerifyTicket' in fields) return {};
  return { ComponentVerifyTicket: issue(world, component.appid, TICKET_INFO_TYPE).value };
}

function innerXml(appid: string, createTime: number, infoType: string, fields: PushFields): string {
  const elements = Object.entries({
    AppId: appid,
    CreateTime: createTime,
    InfoType: infoType,
    ...fields,
  });
  return `<xml>${linesOf(elements)}\n</xml>`;
}

function linesOf(elements: readonly [string, PushFields[string]][]): string {
  return elements.map(([name, value]) => `<${name}>${contentOf(value)}</${name}>`).join('\n');
}

/** WeChat leaves numbers bare and wraps every text. */
function contentOf(value: PushFields[string]): string {
  if (typeof value === 'object') return linesOf(Object.entries(value));
  return typeof value === 'number' ? String(value) : cdata(value);
}

function cdata(text: string): string {
  return `<![CDATA[${text.replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;
}

/** Good enough for documents that we or a test wrote: this is for the ledger only. */
function elementOf(xml: string, name: string): string | undefined {
  const pattern = new RegExp(`<${name}>(?:<!\\[CDATA\\[)?([^<\\]]*)`);
  return pattern.exec(xml)?.[1];
}

function signedQuery(token: string, timestamp: string, encrypted: string): Record<string, string> {
  const nonce = String(randomInt(100_000_000, 2_000_000_000));
  return {
    signature: sign(token, timestamp, nonce, ''),
    timestamp,
    nonce,
    encrypt_type: 'aes',
    msg_signature: sign(token, timestamp, nonce, encrypted),
  };
}

function withQuery(callbackUrl: string, query: Readonly<Record<string, string>>): string {
  const url = new URL(callbackUrl);
  for (const [name, value] of Object.entries(query)) url.searchParams.append(name, value);
  return url.href;
}
