import { validate as isCron } from 'node-cron';
import { z } from 'zod';

/** What the texts of settings must look like. Messages name the form and never repeat the value. */

const APPID = /^wx[0-9a-f]{16}$/;
const SECRET_TEXT = /^[\x21-\x7E]{16,128}$/;
const TOKEN = /^[A-Za-z0-9]{3,32}$/;
const AES_KEY = /^[A-Za-z0-9]{43}$/;

export const secretFormats = {
  appid: z.string().regex(APPID, 'must be wx and 16 lower-case hex digits'),
  appsecret: z.string().regex(SECRET_TEXT, 'must be the AppSecret, without spaces'),
  token: z.string().regex(TOKEN, 'must be 3 to 32 letters or digits'),
  key: z.string().regex(AES_KEY, 'must be exactly 43 letters or digits'),
};

export const levelSchema = z.enum(
  ['error', 'warn', 'info', 'debug'],
  'must be error, warn, info or debug',
);
export const portSchema = z
  .string()
  .regex(/^\d{1,5}$/, 'must be a port number')
  .transform(Number)
  .refine((port) => port >= 0 && port <= 65_535, 'must be between 0 and 65535');
export const prefixSchema = z
  .string()
  .regex(/^[^\s{}]{0,64}$/, 'must not contain spaces or braces');
export const protocolSchema = z
  .enum(['2', '3'], 'must be 2 or 3')
  .transform((text) => (text === '2' ? 2 : 3));
export const redisUrlSchema = z
  .string()
  .refine(
    (url) => url.startsWith('/') || isRedisUrl(url),
    'must be redis:// or rediss:// with user, password, host, port and database number at the most, ' +
      'special characters percent-encoded, or the absolute path of a socket',
  );
export const publicUrlSchema = z
  .string()
  .transform((url) => url.replace(/\/$/, ''))
  .refine(
    (url) => /^https:\/\/[a-z0-9.-]+$/i.test(url) || (url.startsWith('http:') && isSafeOrigin(url)),
    'must be an https origin without a path; http only to loopback',
  );
export const cronSchema = z.string().refine((text) => isCron(text), 'must be a cron expression');
export const windowSchema = z
  .string()
  .regex(/^\d{1,5}$/, 'must be whole seconds')
  .transform(Number)
  .refine((seconds) => seconds >= 1 && seconds <= 3600, 'must be between 1 and 3600');

/** What seals refresh tokens in Redis. */
export interface SealKey {
  /** Name of the key in what it has sealed. */
  id: string;
  /** 32 bytes in base64. */
  key: string;
}

const SEAL_KEY = /^[a-z0-9-]{1,32}:[A-Za-z0-9+/]{43}=$/;
export const sealKeysSchema = z
  .string()
  .transform((text) => text.split(',').map((one) => one.trim()))
  .refine(
    (entries) => entries.every((entry) => SEAL_KEY.test(entry)),
    'must be id:base64 of 32 bytes, comma-separated (npm run keys -- --sealing makes one)',
  )
  .transform((entries) =>
    entries.map((entry): SealKey => {
      const [id = '', key = ''] = entry.split(':');
      return { id, key };
    }),
  )
  .refine(
    (keys) =>
      ['id', 'key'].every(
        (name) => new Set(keys.map((one) => one[name as keyof SealKey])).size === keys.length,
      ),
    'must not name the same key twice',
  );
export const rateSchema = z
  .string()
  .regex(/^\d{1,4}$/, 'must be a whole number')
  .transform(Number)
  .refine((perSecond) => perSecond >= 1, 'must be between 1 and 9999');
export const hostsSchema = z
  .string()
  .transform((text) => text.split(',').map((one) => one.trim().replace(/\/$/, '')))
  .refine((urls) => urls.every(isSafeOrigin), 'must be https origins; http only to loopback');
export const authorizationUrlsSchema = z
  .string()
  .transform((text) => text.split(',').map((one) => one.trim().replace(/\/$/, '')))
  .refine(
    (urls) => urls.length === 2 && urls.every(isSafeOrigin),
    'must be two https origins, for computers and for phones; http only to loopback',
  )
  .transform(([pc = '', mobile = '']) => ({ pc, mobile }));
/** A list in the file, comma-separated in the environment. */
export const returnUrlsSchema = z.preprocess(
  (raw) => (typeof raw === 'string' ? raw.split(',').map((one) => one.trim()) : raw),
  z
    .array(z.string(), 'must be a list of URLs')
    .refine(
      (urls) => urls.every((one) => readWebUrl(one)?.search === '' && !one.endsWith('?')),
      'must be https URLs without query and fragment, their paths without %, // and ..; ' +
        'http only to loopback',
    ),
);

function isRedisUrl(text: string): boolean {
  if (!/^rediss?:\/\/\S+$/.test(text) || !URL.canParse(text)) return false;
  const { username, password, hostname, pathname, search } = new URL(text);
  try {
    decodeURIComponent(username + password);
  } catch {
    return false;
  }
  return hostname !== '' && /^\/?\d{0,5}$/.test(pathname) && search === '' && !/@.*@/.test(text);
}

const WEB_URL =
  /^(https?:\/\/[a-z0-9.:[\]-]+)((?:\/[A-Za-z0-9_~.!$&'()*+,=:@-]+)*\/?)(?:\?[!$-[\]-~]*)?$/;

/**
 * Reads an address of the web for browsers, or nothing when it could be read in two ways. Left out
 * are user names, backslashes, fragments, dot segments, percent-encoding and `;` in the path, and
 * every spelling that URL parsers would change.
 */
export function readWebUrl(text: string): URL | undefined {
  const [, origin = '', path = ''] = WEB_URL.exec(text) ?? [];
  if (!isSafeOrigin(origin)) return undefined;
  const url = new URL(text);
  const same = url.origin === origin && url.pathname === (path === '' ? '/' : path);
  return same && url.username === '' ? url : undefined;
}

function isSafeOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { origin, protocol, hostname } = new URL(text);
  const loopback = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  return origin === text && (protocol === 'https:' || (protocol === 'http:' && loopback));
}
