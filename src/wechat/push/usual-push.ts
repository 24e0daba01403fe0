import { createDecipheriv, hash, timingSafeEqual } from 'node:crypto';
import {
  parseSignedQuery,
  PushHashes,
  sealReply,
  type EnvelopeSecrets,
  type SignedQuery,
  type TrustedPush,
} from './envelope.ts';
import type { PushFields } from './push-fields.ts';
import { CONTROL, decisive, type ReadPush } from './read-push.ts';

/**
 * The short way for pushes of exactly the form that WeChat gives them: nearly all there are, and on a
 * busy platform their number is what costs. Each byte is looked at once, one signature is compared, and
 * the padding is checked where it is instead of by encrypting everything again.
 *
 * It decides nothing. What is the least bit different is left to `openPush` and `readPush`, and so is
 * every refusal; what is taken here, they take with the same result, which `usual-push.test.ts` holds
 * against them over any number of mutated pushes.
 */

/** The outer document as WeChat prints it. Beside Encrypt stands an id that nobody signs or reads. */
const USUAL_BODY =
  /^<xml>\s*(?:<(?:AppId|ToUserName)><!\[CDATA\[\w*\]\]><\/(?:AppId|ToUserName)>\s*)?<Encrypt><!\[CDATA\[([A-Za-z0-9+/=]+)\]\]><\/Encrypt>\s*<\/xml>\s*$/;
/** Letters of Encrypt; the bounds of `openPush` are no narrower. */
const MIN_ENCRYPT = 64;
const MAX_ENCRYPT = 32_768;
/** PKCS#7 as WeChat does it: blocks of 32 bytes, not of the 16 that AES has. */
const PADDING_BLOCK = 32;
const LENGTH_AT = 16;
const MESSAGE_AT = 20;

/** @returns undefined when the push is for `openPush` */
export type UsualOpener = (
  query: Readonly<Record<string, unknown>>,
  body: Buffer,
) => TrustedPush | undefined;

/** Made once for each component, since its keys are. */
export function createUsualOpener(secrets: EnvelopeSecrets): UsualOpener {
  const key = Buffer.from(`${secrets.encodingAesKey}=`, 'base64');
  const iv = key.subarray(0, 16);
  return (query, body) => {
    const [, encrypt] = USUAL_BODY.exec(body.toString('latin1')) ?? [];
    if (encrypt === undefined || encrypt.length < MIN_ENCRYPT || encrypt.length > MAX_ENCRYPT) {
      return undefined;
    }
    // It throws what `openPush` would, which comes to this point with every body of this form.
    const signed = parseSignedQuery(query, 'msg_signature');
    if (!isSigned(secrets.token, signed, encrypt)) return undefined;
    const bytes = Buffer.from(encrypt, 'base64');
    // Canonical, or two texts would be one push.
    if (bytes.length % PADDING_BLOCK !== 0 || bytes.toString('base64') !== encrypt)
      return undefined;
    const decipher = createDecipheriv('aes-256-cbc', key, iv).setAutoPadding(false);
    // Whole blocks without padding: nothing is left for `final`.
    const message = messageIn(decipher.update(bytes), secrets.componentAppid);
    if (message === undefined) return undefined;
    return {
      query: signed,
      format: 'xml',
      message,
      lossless: true,
      hashes: new PushHashes(encrypt, () => message),
      usedPreviousToken: false,
      usedPreviousKey: false,
      seal: (reply, timestamp, nonce) => sealReply(secrets, 'xml', { reply, timestamp, nonce }),
    };
  };
}

function isSigned(token: string, { timestamp, nonce, signature }: SignedQuery, encrypt: string) {
  const expected = hash('sha1', [token, timestamp, nonce, encrypt].sort().join(''));
  return timingSafeEqual(Buffer.from(expected, 'latin1'), Buffer.from(signature, 'latin1'));
}

/** 16 random bytes, 4 of length, the message, the appid, padding; each of them as WeChat makes it. */
function messageIn(plain: Buffer, appid: string): string | undefined {
  const padding = plain.at(-1) ?? 0;
  const padded = plain.length - padding;
  const end = padded - appid.length;
  if (padding < 1 || padding > PADDING_BLOCK || end < MESSAGE_AT) return undefined;
  if (plain.readUInt32BE(LENGTH_AT) !== end - MESSAGE_AT) return undefined;
  if (plain.toString('latin1', end, padded) !== appid) return undefined;
  for (let at = padded; at < plain.length; at += 1) if (plain[at] !== padding) return undefined;
  const message = plain.toString('utf8', MESSAGE_AT, end);
  // It may stand for bytes that are no UTF-8.
  return message.includes('\uFFFD') ? undefined : message;
}

const OPEN = '<xml>';
const CLOSE = '</xml>';
const CDATA = '<![CDATA[';
const CDATA_END = ']]>';
/** No name that means something to JavaScript or to XML begins otherwise, but for `xml`. */
const NAME = /^(?!xml$)[A-Za-z]\w{0,63}$/i;
/** No push of WeChat's has nearly as many. */
const MAX_FIELDS = 64;

/**
 * Reads a message that is a flat list of fields, each of them once, its text plain or in one CDATA.
 * @returns undefined when it is for `readPush`
 */
export function readUsual(text: string): ReadPush | undefined {
  if (!text.startsWith(OPEN) || text.includes('\r')) return undefined;
  const content: Record<string, string> = {};
  let at = skipSpace(text, OPEN.length);
  for (let count = 0; !text.startsWith(CLOSE, at); count += 1) {
    const end = count < MAX_FIELDS ? readField(text, at, content) : undefined;
    if (end === undefined) return undefined;
    at = skipSpace(text, end);
  }
  const isWhole = skipSpace(text, at + CLOSE.length) === text.length;
  if (!isWhole || at === skipSpace(text, OPEN.length)) return undefined;
  const odd = CONTROL.test(text) ? (['control_characters'] as const) : [];
  return { fields: believed(content), content, format: 'xml', odd, raw: undefined };
}

/** @returns where the next one begins */
function readField(text: string, at: number, into: Record<string, string>): number | undefined {
  const nameEnd = text.indexOf('>', at);
  const name = text.slice(at + 1, nameEnd);
  if (text[at] !== '<' || !NAME.test(name) || Object.hasOwn(into, name)) return undefined;
  const begin = nameEnd + 1;
  let end: number;
  if (text.startsWith(CDATA, begin)) {
    const closed = text.indexOf(CDATA_END, begin + CDATA.length);
    if (closed < 0) return undefined;
    into[name] = text.slice(begin + CDATA.length, closed);
    end = closed + CDATA_END.length;
  } else {
    end = text.indexOf('<', begin);
    const value = text.slice(begin, end);
    if (end < 0 || value.includes('&') || value.includes(CDATA_END)) return undefined;
    into[name] = value.trim();
  }
  const next = end + name.length + 3;
  return text.startsWith(`</${name}>`, end) ? next : undefined;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === '\n' || text[at] === ' ' || text[at] === '\t') at += 1;
  return at;
}

/** The same object, unless white space in CDATA makes a difference. */
function believed(content: Record<string, string>): PushFields {
  let fields = content;
  for (const name in content) {
    const value = content[name] ?? '';
    const believed = decisive(name, value);
    if (believed !== value) fields = { ...fields, [name]: believed };
  }
  return fields;
}
