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
  .refine((url) => /^https:\/\/[a-z0-9.-]+$/i.test(url), 'must be an https origin without a path');
export const cronSchema = z.string().refine((text) => isCron(text), 'must be a cron expression');
export const windowSchema = z
  .string()
  .regex(/^\d{1,5}$/, 'must be whole seconds')
  .transform(Number)
  .refine((seconds) => seconds >= 1 && seconds <= 3600, 'must be between 1 and 3600');
export const hostsSchema = z
  .string()
  .transform((text) => text.split(',').map((one) => one.trim().replace(/\/$/, '')))
  .refine((urls) => urls.every(isSafeOrigin), 'must be https origins; http only to loopback');

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

function isSafeOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { origin, protocol, hostname } = new URL(text);
  const loopback = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  return origin === text && (protocol === 'https:' || (protocol === 'http:' && loopback));
}
