import { createCipheriv, createDecipheriv, hash, timingSafeEqual } from 'node:crypto';
import { decrypt, encrypt, getSignature } from '@wecom/crypto';
import { KeeperError, type RefusalReason } from '../../lib/errors.ts';

/**
 * The encrypted envelope around every push (消息加解密): what a push must have to be trusted, and the
 * encrypted reply. What is in it is read elsewhere (`read-push.ts`), and refused for no form.
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
/**
 * Encrypts of one body that are tried: one is WeChat's, others may stand in what people wrote. Those are
 * in front of it or behind it, so the last one is always among them.
 */
const MAX_ENCRYPTS = 4;
/** Letters of an Encrypt that is tried with the secrets of every platform: nearly all have fewer. */
const MAX_ANOTHERS_CHARS = 4_096;
/** Base64 has neither `<` nor `]`, so each part of a body is looked at once. */
const ENCRYPT_IN_XML = /<Encrypt(?:\s[^<>]*)?>\s*(?:<!\[CDATA\[)?([^<\]]*)/gi;
const ENCRYPT_IN_JSON = /"Encrypt"\s*:\s*"([^"]*)"/gi;
/** With the bytes of a byte order mark, as latin1 has them. */
const BEGINS_AS_JSON = /^[\s\xEF\xBB\xBF]*\{/;
const APPID_AT_END = /wx[0-9a-z]{16}$/i;
const CLEAR_PUSH = /[<"](?:MsgType|InfoType)\b/;
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

/** Of the outer document, and so of a reply. */
export type PushFormat = 'xml' | 'json';

export interface OpenedEnvelope {
  format: PushFormat;
  message: string;
  hashes: PushHashes;
  usedPreviousToken: boolean;
  usedPreviousKey: boolean;
  /** False when re-encrypting does not give the same bytes: some were no UTF-8. */
  lossless: boolean;
  /**
   * Encrypts a reply with the key that opened this push, in the form that the push had. `timestamp` in
   * Unix seconds.
   */
  seal(reply: string, timestamp: number, nonce: string): string;
}

/** What a push is recognised by when it comes again. Most need only one of the two. */
export class PushHashes {
  private readonly encrypt: string;
  private readonly content: () => string | Buffer;
  private encryptHash: string | undefined;
  private contentHash: string | undefined;

  constructor(encrypt: string, content: () => string | Buffer) {
    this.encrypt = encrypt;
    this.content = content;
  }

  /** SHA-256 of Encrypt in hex. Not the signature, which is malleable. */
  get ofEncrypt(): string {
    return (this.encryptHash ??= hash('sha256', this.encrypt));
  }

  /** SHA-256 of the decrypted bytes in hex: the same for a message that is encrypted anew. */
  get ofContent(): string {
    return (this.contentHash ??= hash('sha256', this.content()));
  }
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
    throw badSignature(`missing or malformed ${field}`);
  }
  if (typeof timestamp !== 'string' || !TIMESTAMP.test(timestamp)) {
    throw malformed('timestamp must be ten digits, once');
  }
  // Not more letters than that: the signature does not know where the nonce ends and Encrypt begins.
  if (typeof nonce !== 'string' || !NONCE.test(nonce)) {
    throw malformed('nonce must be 1 to 32 letters or digits, once');
  }
  return { timestamp, nonce, signature: signature.toLowerCase() };
}

/** A push that is WeChat's, apart from how old it is. */
export interface TrustedPush extends OpenedEnvelope {
  query: SignedQuery;
}

/**
 * Decides whether a push is WeChat's and opens it. Of the outer document only its Encrypt counts, which
 * the signature covers: appids and texts beside it, in whatever form, are not even read, and neither is
 * `encrypt_type`. Of several Encrypts the first that verifies is it.
 * @param others of further platforms: a push that they open has but come to the wrong address
 * @throws KeeperError `malformed_push`, `bad_signature`, `unreadable_push`, each with its reason
 */
export function openPush(
  secrets: EnvelopeSecrets,
  query: QuerySource,
  body: Buffer,
  others: readonly EnvelopeSecrets[] = [],
): TrustedPush {
  const { format, encrypts, isClear } = findEncrypts(body);
  if (isClear) throw notEncrypted(query);
  const signed = parseSignedQuery(query, 'msg_signature');
  let refusal: KeeperError | undefined;
  for (const [index, encrypt] of encrypts.entries()) {
    try {
      return { ...openEnvelope(secrets, signed, encrypt, format), query: signed };
    } catch (error) {
      if (!(error instanceof KeeperError)) throw error;
      // What our token signed is what it was about.
      if (index === 0 || error.code === 'unreadable_push') refusal = error;
    }
  }
  refusal ??= malformed('no Encrypt in the body');
  if (!isOfAnother(others, signed, encrypts, refusal)) throw refusal;
  // The sender is told the same as anybody.
  throw new KeeperError(refusal.code, refusal.message, { reason: 'foreign_component' });
}

/** Whether what we cannot open is meant for another platform of ours. Never a reason to take it. */
function isOfAnother(
  others: readonly EnvelopeSecrets[],
  signed: SignedQuery,
  [encrypt = '']: readonly string[],
  { code, reason }: KeeperError,
): boolean {
  if (code !== 'bad_signature' && reason !== 'aes_key') return false;
  if (encrypt.length > MAX_ANOTHERS_CHARS) return false;
  return others.some((secrets) => {
    try {
      openEnvelope(secrets, signed, encrypt);
      return true;
    } catch {
      return false;
    }
  });
}

/** The Encrypts of an outer document, most probable first. Anybody can send one. */
function findEncrypts(body: Buffer) {
  // Never fails, whatever the bytes are, and Encrypt is ASCII.
  const text = body.toString('latin1');
  const format: PushFormat = BEGINS_AS_JSON.test(text) ? 'json' : 'xml';
  const found = [...text.matchAll(format === 'json' ? ENCRYPT_IN_JSON : ENCRYPT_IN_XML)];
  const encrypts: string[] = [];
  const [first, rest] = [found.slice(0, MAX_ENCRYPTS - 1), found.slice(MAX_ENCRYPTS - 1)];
  for (const [, inner = ''] of [...first, ...rest.slice(-1)]) {
    const written = (format === 'json' ? unescaped(inner) : inner).trim();
    // White space in between is layout that was added on the way: WeChat signs base64 without any.
    encrypts.push(written);
    const bare = written.replace(/\s+/g, '');
    if (bare !== written) encrypts.push(bare);
  }
  return { format, encrypts, isClear: encrypts.length === 0 && CLEAR_PUSH.test(text) };
}

/** JSON may escape the slashes of base64, and wrap it. */
function unescaped(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return text;
  }
}

function notEncrypted({ msg_signature: signature }: QuerySource): KeeperError {
  const code = signature === undefined ? 'bad_signature' : 'malformed_push';
  const text = 'not encrypted: choose safe mode (安全模式) in the console';
  return new KeeperError(code, text, { reason: 'clear_mode' });
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
  format: PushFormat = 'xml',
): OpenedEnvelope {
  assertCanonicalBase64(encryptField);
  const token = verifySignature(secrets, query, encryptField);
  const keys = [secrets.encodingAesKey, secrets.previousEncodingAesKey];
  const reasons: RefusalReason[] = [];
  for (const key of keys) {
    if (key === undefined) continue;
    const opened = tryKey(key, secrets.componentAppid, encryptField);
    if (typeof opened === 'string') {
      reasons.push(opened);
      continue;
    }
    return {
      ...opened,
      format,
      hashes: new PushHashes(encryptField, () =>
        opened.lossless ? opened.message : bytesOf(key, encryptField),
      ),
      usedPreviousToken: token !== secrets.token,
      usedPreviousKey: key !== secrets.encodingAesKey,
      seal: (reply, timestamp, nonce) =>
        sealReply({ ...secrets, token, encodingAesKey: key }, format, { reply, timestamp, nonce }),
    };
  }
  // The same text for all of them; the reason is for the operator.
  const reason = reasons.find((one) => one !== 'aes_key') ?? 'aes_key';
  throw new KeeperError('unreadable_push', 'unreadable', { reason });
}

/**
 * Answers WeChat's echostr check: the text to send back.
 * @throws KeeperError `malformed_push`, `bad_signature`
 */
export function verifyEcho(secrets: EnvelopeSecrets, query: QuerySource): string {
  const signed = parseSignedQuery(query, 'signature');
  const { echostr } = query;
  if (typeof echostr !== 'string' || !ECHOSTR.test(echostr)) {
    throw malformed('echostr missing or malformed');
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

export function sealReply(
  secrets: EnvelopeSecrets,
  format: PushFormat,
  { reply, timestamp, nonce }: { reply: string; timestamp: number; nonce: string },
): string {
  const encrypted = encryptMessage(secrets.encodingAesKey, secrets.componentAppid, reply);
  const signature = sign(secrets.token, String(timestamp), nonce, encrypted);
  if (format === 'json') {
    return JSON.stringify({
      Encrypt: encrypted,
      MsgSignature: signature,
      TimeStamp: timestamp,
      Nonce: nonce,
    });
  }
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
    throw malformed('Encrypt is not canonical base64');
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
  throw badSignature('signature does not match');
}

/** @returns what is in it, or why it is nothing that WeChat made for us under this key */
function tryKey(
  encodingAesKey: string,
  componentAppid: string,
  encryptField: string,
): { message: string; lossless: boolean } | RefusalReason {
  try {
    const { message, id, random } = decrypt(encodingAesKey, encryptField);
    // The appid decides whether the key was right: a wrong key does not throw.
    if (id !== componentAppid) {
      // With a length that lies, the appid still ends the text.
      if (id.endsWith(componentAppid)) return 'unreadable';
      return APPID_AT_END.test(id) ? 'foreign_component' : 'aes_key';
    }
    // Re-encryption covers what the library leaves unchecked: padding bytes and declared length.
    const lossless =
      encrypt(encodingAesKey, message, id, random) === encryptField ||
      encryptInShortBlocks(encodingAesKey, message, id, random) === encryptField;
    // Only undecodable UTF-8 can excuse a difference; anything else was not made by WeChat.
    if (!lossless && !message.includes('\uFFFD')) return 'unreadable';
    return { message, lossless };
  } catch {
    // The library throws range and OpenSSL errors on odd lengths; which one is nobody's business.
    return 'aes_key';
  }
}

/** With padding to 16 bytes, as AES has it everywhere else, where WeChat's is to 32: some packages reply so. */
function encryptInShortBlocks(
  encodingAesKey: string,
  message: string,
  id: string,
  random: Buffer,
): string {
  const key = bytesOfKey(encodingAesKey);
  const cipher = createCipheriv('aes-256-cbc', key, key.subarray(0, 16));
  const [text, length] = [Buffer.from(message), Buffer.allocUnsafe(4)];
  length.writeUInt32BE(text.length);
  const plain = Buffer.concat([random, length, text, Buffer.from(id)]);
  return Buffer.concat([cipher.update(plain), cipher.final()]).toString('base64');
}

const bytesOfKey = (encodingAesKey: string) => Buffer.from(`${encodingAesKey}=`, 'base64');

/** Of a message that is not all UTF-8: as texts, many are one. */
function bytesOf(encodingAesKey: string, encryptField: string): Buffer {
  const key = bytesOfKey(encodingAesKey);
  const decipher = createDecipheriv('aes-256-cbc', key, key.subarray(0, 16)).setAutoPadding(false);
  const plain = Buffer.concat([decipher.update(encryptField, 'base64'), decipher.final()]);
  return plain.subarray(20, 20 + plain.readUInt32BE(16));
}

function malformed(text: string): KeeperError {
  return new KeeperError('malformed_push', text, { reason: 'form' });
}

function badSignature(text: string): KeeperError {
  return new KeeperError('bad_signature', text, { reason: 'bad_signature' });
}
