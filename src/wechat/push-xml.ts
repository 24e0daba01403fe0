import { isUtf8 } from 'node:buffer';
import { EntityDecoder } from '@nodable/entities';
import { XMLParser } from 'fast-xml-parser';
import { SyntaxValidator } from 'fast-xml-validator';
import { z } from 'zod';
import { KeeperError } from '../errors.ts';

/**
 * WeChat's push XML, read strictly. Every value stays the exact string it was: a MsgId exceeds
 * 2^53, and an appid or a nickname may look like a number.
 *
 * The parser alone accepts half documents, two roots and plain text, so the text is checked before
 * and the shape after parsing.
 */

/** Bytes. WeChat's largest push is far below; wide XML costs time in proportion to its size. */
export const MAX_PUSH_BYTES = 64 * 1024;

const MAX_MARKUP = 1000;
const ROOT = /^(?:<\?xml[^>]*\?>)?\s*<xml[\s>][\s\S]*<\/xml>$/;
const CDATA = /<!\[CDATA\[[\s\S]*?\]\]>/g;
const UNKNOWN_ENTITY = /&(?!(?:lt|gt|amp|quot|apos|#\d{1,7}|#x[0-9a-f]{1,6});)/i;

/** A parsed element: text, nested elements, or a list where the element was repeated. */
export type XmlValue = string | XmlValue[] | { [name: string]: XmlValue };
export type PushFields = Readonly<Record<string, XmlValue>>;

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  htmlEntities: false,
  // The five standard entities and numeric references; a DOCTYPE never gets this far.
  processEntities: {
    enabled: true,
    maxEntityCount: 1,
    maxEntitySize: 16,
    maxTotalExpansions: 2000,
    maxExpandedLength: MAX_PUSH_BYTES,
  },
  entityDecoder: new EntityDecoder({ namedEntities: {} }),
  maxNestedTags: 12,
  strictReservedNames: true,
  onDangerousProperty: () => {
    throw new Error('reserved element name');
  },
});

const eventEnvelope = z.object({ AppId: z.string(), Encrypt: z.string() });
const messageEnvelope = z.object({ ToUserName: z.string(), Encrypt: z.string() });

/**
 * The outer document of a push to the authorization-event URL: `{AppId, Encrypt}`.
 * @throws KeeperError `malformed_push`
 */
export function parseEventEnvelope(body: Buffer): { appid: string; encrypt: string } {
  const fields = shaped(eventEnvelope, parsePushXml(decodeBody(body)));
  return { appid: fields.AppId, encrypt: fields.Encrypt };
}

/**
 * The outer document of a push to the message & event URL: `{ToUserName, Encrypt}`.
 * @throws KeeperError `malformed_push`
 */
export function parseMessageEnvelope(body: Buffer): { toUserName: string; encrypt: string } {
  const fields = shaped(messageEnvelope, parsePushXml(decodeBody(body)));
  return { toUserName: fields.ToUserName, encrypt: fields.Encrypt };
}

/**
 * Parses one `<xml>` document into its fields.
 * @throws KeeperError `malformed_push`; the text never quotes the document, which may hold a ticket
 */
export function parsePushXml(xml: string): PushFields {
  if (Buffer.byteLength(xml) > MAX_PUSH_BYTES) throw malformed('document too large');
  const text = xml.replace(/^\uFEFF/, '').trim();
  assertPlainDocument(text);
  let parsed: unknown;
  try {
    SyntaxValidator.validate(text);
    parsed = parser.parse(text);
  } catch {
    // The cause is dropped on purpose: parser messages quote the document.
    throw malformed('not well-formed XML');
  }
  const document = parsed as Record<string, XmlValue>;
  const root = document.xml;
  if (Object.keys(document).length !== 1 || typeof root !== 'object' || Array.isArray(root)) {
    throw malformed('exactly one <xml> element with children is expected');
  }
  return root;
}

/**
 * Checks parsed fields against a schema; fields it does not name are dropped.
 * @throws KeeperError `malformed_push` naming the fields that do not fit
 */
export function shaped<T>(schema: z.ZodType<T>, fields: PushFields): T {
  const result = schema.safeParse(fields);
  if (result.success) return result.data;
  const names = result.error.issues.map((issue) => issue.path.join('.') || 'document').join(', ');
  throw malformed(`missing, repeated or malformed: ${names}`);
}

function decodeBody(body: Buffer): string {
  if (!isUtf8(body)) throw malformed('body is not UTF-8');
  return body.toString('utf8');
}

function assertPlainDocument(text: string): void {
  if (!ROOT.test(text)) throw malformed('body is not an <xml> document');
  // Unclosed, it would make the search below quadratic.
  if (text.lastIndexOf('<![CDATA[') > text.lastIndexOf(']]>')) throw malformed('unclosed CDATA');
  const outside = text.replace(CDATA, '');
  // Covers DOCTYPE, ENTITY, comments and unclosed CDATA: WeChat uses none of them.
  if (outside.includes('<!')) throw malformed('declarations and comments are not accepted');
  if (UNKNOWN_ENTITY.test(outside)) throw malformed('unknown entity');
  if (outside.split('<', MAX_MARKUP + 2).length > MAX_MARKUP + 1) throw malformed('too many tags');
}

function malformed(detail: string): KeeperError {
  return new KeeperError('malformed_push', `malformed push: ${detail}`);
}
