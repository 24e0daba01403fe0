import { createHash, timingSafeEqual } from 'node:crypto';
import { decrypt, encrypt, getSignature } from '@wecom/crypto';
import { KeeperError } from '../errors.ts';

/**
 * The encrypted envelope around every push (消息加解密): signature, decryption, encrypted reply.
 *
 * `@wecom/crypto` does the arithmetic and checks nothing: a wrong key yields garbage instead of an
 * error, only the last padding byte is looked at, and no appid is compared. Everything that makes
 * the result trustworthy is here, and the order matters: shape, then signature, then decryption,
 * so that nobody without the token can use us as a decryption oracle.
 *
 * Source: developers.weixin.qq.com, 加密解密技术方案 (Technical_Plan) and 消息推送 (message_push).
 */

/** Largest Encrypt accepted: a 64 KB body cannot carry more. */
const MAX_ENCRYPT_CHARS = 65_536;
/** 16 random bytes, 4 of length and an 18-letter appid already fill two 32-byte blocks. */
const MIN_ENCRYPT_CHARS = 64;
const TIMESTAMP = /^\d{10}$/;
const NONCE = /^[A-Za-z0-9_-]{1,32}$/;
const SIGNATURE = /^[0-9a-f]{40}$/i;
const ECHOSTR = /^[A-Za-z0-9+/=_-]{1,512}$/;

export const ENCODING_AES_KEY = /^[A-Za-z0-9]{43}$/;

/** The secrets of one component, as configured in WeChat's console. */
export interface EnvelopeSecrets {
  componentAppid: string;
  token: string;
  encodingAesKey: string;
  /** Still accepted while a rotation is under way. */
  previousToken?: string | undefined;
  previousEncodingAesKey?: string | undefined;
}

/** The signed part of a push's query string, after its shape was checked. */
export interface SignedQuery {
  /** Ten digits, Unix seconds. */
  timestamp: string;
  nonce: string;
  /** 40 lower-case hex digits. */
  signature: string;
}

export interface OpenedEnvelope {
  message: string;
  /** SHA-256 of Encrypt in hex: what replays are recognised by. The signature is malleable. */
  fingerprint: string;
  usedPreviousToken: boolean;
  usedPreviousKey: boolean;
  /** False when re-encrypting does not give the same bytes (broken UTF-8 in a user's message). */
  lossless: boolean;
  /** Encrypts a reply with the key that opened this push. `timestamp` in Unix seconds. */
  seal(reply: string, timestamp: number, nonce: string): string;
}

type QuerySource = Readonly<Record<string, unknown>>;

/**
 * Reads timestamp, nonce and the signature named `field` out of a query.
 * @throws KeeperError `malformed_push` or, for the signature itself, `bad_signature`
 */
export function parseSignedQuery(
  query: QuerySource,
  field: 'msg_signature' | 'signature',
): SignedQuery {
  const { timestamp, nonce } = query;
  const signature = query[field];
  // Repeated parameters arrive as arrays, and an array would be hashed as "a,b".
  if (typeof signature !== 'string' || !SIGNATURE.test(signature)) {
    throw new KeeperError('bad_signature', `missing or malformed ${field}`);
  }
  if (typeof timestamp !== 'string' || !TIMESTAMP.test(timestamp)) {
    throw new KeeperError('malformed_push', 'timestamp must be ten digits, once');
  }
  if (typeof nonce !== 'string' || !NONCE.test(nonce)) {
    throw new KeeperError('malformed_push', 'nonce must be 1 to 32 letters or digits, once');
  }
  return { timestamp, nonce, signature: signature.toLowerCase() };
}

/**
 * Verifies and decrypts one push.
 * @param encryptField the content of `<Encrypt>`
 * @throws KeeperError `malformed_push`, `bad_signature`, `unreadable_push`
 */
export function openEnvelope(
  secrets: EnvelopeSecrets,
  query: SignedQuery,
  encryptField: string,
): OpenedEnvelope {
  assertCanonicalBase64(encryptField);
  const token = verifySignature(secrets, query, encryptField);
  const keys = [secrets.encodingAesKey, secrets.previousEncodingAesKey];
  for (const key of keys) {
    if (key === undefined) continue;
    const opened = tryKey(key, secrets.componentAppid, encryptField);
    if (opened === undefined) continue;
    return {
      ...opened,
      fingerprint: createHash('sha256').update(encryptField).digest('hex'),
      usedPreviousToken: token !== secrets.token,
      usedPreviousKey: key !== secrets.encodingAesKey,
      seal: (reply, timestamp, nonce) =>
        sealReply({ ...secrets, token, encodingAesKey: key }, reply, timestamp, nonce),
    };
  }
  throw new KeeperError('unreadable_push', 'unreadable');
}

/**
 * Answers WeChat's echostr check: the text to send back.
 * @throws KeeperError `malformed_push`, `bad_signature`
 */
export function verifyEcho(secrets: EnvelopeSecrets, query: QuerySource): string {
  const signed = parseSignedQuery(query, 'signature');
  const { echostr } = query;
  if (typeof echostr !== 'string' || !ECHOSTR.test(echostr)) {
    throw new KeeperError('malformed_push', 'echostr missing or malformed');
  }
  verifySignature(secrets, signed, '');
  return echostr;
}

/**
 * Encrypts a message the way WeChat does.
 * @param random sixteen bytes; only tests that reproduce official samples pass it
 */
export function encryptMessage(
  encodingAesKey: string,
  componentAppid: string,
  message: string,
  random?: Buffer,
): string {
  // A lone surrogate would silently become U+FFFD on the wire.
  if (!message.isWellFormed()) throw new TypeError('message is not well-formed Unicode');
  return encrypt(encodingAesKey, message, componentAppid, random);
}

/** `msg_signature` of an encrypted message; with an empty `encryptField` the 3-part `signature`. */
export function sign(
  token: string,
  timestamp: string,
  nonce: string,
  encryptField: string,
): string {
  return getSignature(token, timestamp, nonce, encryptField);
}

function sealReply(
  secrets: EnvelopeSecrets,
  reply: string,
  timestamp: number,
  nonce: string,
): string {
  const encrypted = encryptMessage(secrets.encodingAesKey, secrets.componentAppid, reply);
  const signature = sign(secrets.token, String(timestamp), nonce, encrypted);
  return (
    `<xml><Encrypt><![CDATA[${encrypted}]]></Encrypt>` +
    `<MsgSignature><![CDATA[${signature}]]></MsgSignature>` +
    `<TimeStamp>${timestamp}</TimeStamp><Nonce><![CDATA[${nonce}]]></Nonce></xml>`
  );
}

function assertCanonicalBase64(value: string): void {
  const fits = value.length >= MIN_ENCRYPT_CHARS && value.length <= MAX_ENCRYPT_CHARS;
  // Re-encoding is the fastest strict check: it refuses line breaks, url-safe letters and junk.
  if (!fits || Buffer.from(value, 'base64').toString('base64') !== value) {
    throw new KeeperError('malformed_push', 'Encrypt is not canonical base64');
  }
}

/** Returns the token that signed, current or previous. */
function verifySignature(
  secrets: EnvelopeSecrets,
  query: SignedQuery,
  encryptField: string,
): string {
  const claimed = Buffer.from(query.signature, 'latin1');
  for (const token of [secrets.token, secrets.previousToken]) {
    if (token === undefined) continue;
    const expected = sign(token, query.timestamp, query.nonce, encryptField);
    // Both sides are 40 ASCII bytes here, so the comparison cannot throw on length.
    if (timingSafeEqual(Buffer.from(expected, 'latin1'), claimed)) return token;
  }
  throw new KeeperError('bad_signature', 'signature does not match');
}

function tryKey(
  encodingAesKey: string,
  componentAppid: string,
  encryptField: string,
): { message: string; lossless: boolean } | undefined {
  try {
    const { message, id, random } = decrypt(encodingAesKey, encryptField);
    // The appid decides whether the key was right: a wrong key does not throw.
    if (id !== componentAppid) return undefined;
    // Re-encryption covers what the library leaves unchecked: padding bytes and declared length.
    const lossless = encrypt(encodingAesKey, message, id, random) === encryptField;
    // Only undecodable UTF-8 can excuse a difference; anything else was not made by WeChat.
    if (!lossless && !message.includes('\uFFFD')) return undefined;
    return { message, lossless };
  } catch {
    // The library throws range and OpenSSL errors on odd lengths; which one is nobody's business.
    return undefined;
  }
}
