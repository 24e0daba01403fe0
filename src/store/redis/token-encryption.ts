import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { EncryptionKey } from '../../config/formats.ts';

/**
 * Seals refresh tokens with AES-256-GCM, so that neither a dump of Redis nor a backup of it gives them
 * away. A sealed text names its key: `sealed:v1:<key id>:<base64url of nonce, ciphertext and tag>`.
 */
export interface TokenEncryption {
  /** The first one seals, all of them open; none when texts are stored as they are. */
  keys: readonly EncryptionKey[];
  /**
   * @param context what the text belongs to: a sealed text opens nowhere else
   */
  seal(text: string, context: string): string;
  /**
   * What was sealed; a text that is not sealed is returned as it is.
   * Undefined when none of our keys opens it: it is no absent text, and must not be overwritten.
   */
  open(text: string, context: string): string | undefined;
  /** What comparing our keys with Redis has shown; kept up to date by `encryption-keys.ts`. */
  standing: EncryptionStanding;
  /** Names of keys that tokens wanted in vain, and when one did last (epoch ms of the store). */
  unopened: Map<string, number>;
  /** Subjects whose token does not open though its key is there, and when it was tried last. */
  misplaced: Map<string, number>;
  /** Subjects whose token is stored as it is although we seal. */
  plain: Set<string>;
  /** How many of those were told of last. */
  reportedPlain: number;
  /** The problem that was logged last. */
  reported: string | undefined;
}

/** `unknown` before Redis was asked; `agreed`: nothing is known against our keys. */
export type EncryptionStanding =
  | { state: 'unknown' }
  | { state: 'agreed'; registered: boolean }
  | { state: 'wrong'; problem: string };

const CIPHER = 'aes-256-gcm';
/** Drawn at random: 100,000 tokens every two hours reach the limit of 2^32 texts per key in nine years. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const PREFIX = 'sealed:';
const SEALED = /^sealed:v1:([a-z0-9-]+):([A-Za-z0-9_-]+)$/;

export function createTokenEncryption(keys: readonly EncryptionKey[]): TokenEncryption {
  const known = new Map(keys.map(({ id, key }) => [id, Buffer.from(key, 'base64')]));
  const [first] = keys;
  return {
    keys,
    standing: { state: 'unknown' },
    unopened: new Map(),
    misplaced: new Map(),
    plain: new Set(),
    reportedPlain: 0,
    reported: undefined,
    seal(text, context) {
      const key = first && known.get(first.id);
      return key === undefined ? text : `sealed:v1:${first?.id}:${encrypt(key, text, context)}`;
    },
    open(text, context) {
      if (!isEncrypted(text)) return text;
      const [, id = '', body = ''] = SEALED.exec(text) ?? [];
      const key = known.get(id);
      return key && decrypt(key, Buffer.from(body, 'base64url'), context);
    },
  };
}

/** Whether a stored text is a sealed one. */
export function isEncrypted(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** The name of the key that a sealed text wants; undefined when it is not of our form. */
export function keyIdOf(text: string): string | undefined {
  return SEALED.exec(text)?.[1];
}

function encrypt(key: Buffer, text: string, context: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(context));
  const body = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([body, cipher.getAuthTag()]).toString('base64url');
}

function decrypt(key: Buffer, sealed: Buffer, context: string): string | undefined {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(context)).setAuthTag(sealed.subarray(-TAG_BYTES));
  const body = sealed.subarray(NONCE_BYTES, -TAG_BYTES);
  try {
    return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}
