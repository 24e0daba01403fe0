import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { validate as isCron } from 'node-cron';
import * as z from 'zod';
import { isLocalAddress, isNetwork } from '../lib/addresses.ts';
import { OWN_APPID } from './appid.ts';
import { parseNoProxy } from '../lib/no-proxy.ts';
import { parseProxy } from '../lib/proxy.ts';
import { readTextFile } from './texts.ts';

/** What the texts of settings must look like. Messages name the form and never repeat the value. */

/** WeChat issues 32 hex digits. What a shell, an .env file or a template leaves behind is none. */
const APPSECRET = /^[\w.~+/=-]{16,128}$/;
/** Without quotes at its ends, which were meant for the shell. */
const SECRET_TEXT = /^(?!["'`])[\x21-\x7E]{16,128}(?<!["'`])$/;
const TOKEN = /^[A-Za-z0-9]{3,32}$/;
const AES_KEY = /^[A-Za-z0-9]{43}$/;

export const secretFormats = {
  appid: z.string().regex(OWN_APPID, 'must be wx and 16 lower-case hex digits'),
  appsecret: z
    .string()
    .regex(APPSECRET, 'must be the AppSecret: letters and digits, without spaces'),
  token: z.string().regex(TOKEN, 'must be 3 to 32 letters or digits'),
  key: z.string().regex(AES_KEY, 'must be exactly 43 letters or digits'),
};

export const levelSchema = z.enum(
  ['error', 'warn', 'info', 'debug'],
  'must be error, warn, info or debug',
);
const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const HOST_NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*\\.?$`, 'i');
/** What to listen on. Brackets around an IPv6 address mean nothing else, and come off. */
export const hostSchema = z
  .string()
  .transform((text) => {
    const [, inner] = /^\[([^[\]]+)\]$/.exec(text) ?? [];
    return inner !== undefined && isIP(inner) === 6 ? inner : text;
  })
  .refine(
    (text) => isIP(text) !== 0 || (HOST_NAME.test(text) && !/^[\d.]+$/.test(text)),
    'must be an address or a host name, without a port',
  );
export const portSchema = z
  .string()
  .regex(/^\d{1,5}$/, 'must be a port number')
  .transform(Number)
  .refine((port) => port >= 0 && port <= 65_535, 'must be between 0 and 65535');
export const prefixSchema = z
  .string()
  .regex(
    /^[!-~]{0,64}$/,
    'must be 64 letters, digits and signs of ASCII at the most, and not contain spaces or braces',
  )
  .regex(/^[^{}"'`#\\]*$/, 'must not contain spaces or braces, nor quotes, # and backslashes');
export const protocolSchema = z
  .enum(['2', '3'], 'must be 2 or 3')
  .transform((text): 2 | 3 => (text === '2' ? 2 : 3));
const SEVERAL_SERVERS =
  'names more than one server: set REDIS_SENTINELS and REDIS_SENTINEL_MASTER, or REDIS_CLUSTER, instead';
const BY_SENTINELS = 'is for one server: set REDIS_SENTINELS and REDIS_SENTINEL_MASTER instead';
const BY_CLUSTER = 'is for one server: set REDIS_CLUSTER instead';
export const redisUrlSchema = z.string().superRefine((url, context) => {
  const message = redisUrlFault(url);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});

/** Ways of other clients to name Sentinels and clusters are told what they are called here. */
function redisUrlFault(url: string): string | undefined {
  if (/^\/[^\s"'`]+$/.test(url) || isRedisUrl(url)) return undefined;
  if (/^rediss?[+-]sentinels?:/i.test(url) || /[?&](?:sentinel|master)/i.test(url)) {
    return BY_SENTINELS;
  }
  if (/^rediss?[+-](?:cluster|socket\+cluster):/i.test(url)) return BY_CLUSTER;
  if (/^(?:rediss?:\/\/)?[^,@/\s]+:\d+(?:,[^,@/\s]+:\d+)+(?:\/\d*)?$/.test(url))
    return SEVERAL_SERVERS;
  if (/^rediss?:\/\/(?:[^/\s]*@)?[\w.-]+:\d+,/.test(url)) return SEVERAL_SERVERS;
  return (
    'must be redis:// or rediss:// with user, password, host, port and database number at the most, ' +
    'special characters percent-encoded (REDIS_PASSWORD takes a password as it is), or the absolute ' +
    'path of a socket'
  );
}

export interface Endpoint {
  host: string;
  port: number;
}

/** Names and addresses with their ports; IPv6 in brackets. */
export const endpointsSchema = z.string().transform((text, context): readonly Endpoint[] => {
  const all = text.split(',').map((one) => readEndpoint(one.trim()));
  const known = all.filter((one) => one !== undefined);
  if (known.length < all.length) {
    const message =
      'must be host:port, comma-separated, an IPv6 address in brackets, without redis:// and without a password';
    context.addIssue({ code: 'custom', message });
  }
  return known;
});

function readEndpoint(text: string): Endpoint | undefined {
  const [, host = '', port = ''] = /^(\[[^\]]+\]|[^:[\]]+):(\d{1,5})$/.exec(text) ?? [];
  const name = hostSchema.safeParse(host);
  const number = portSchema.safeParse(port);
  if (!name.success || !number.success || number.data === 0) return undefined;
  return { host: name.data, port: number.data };
}

/** What certificates are for: addresses are no names there (RFC 6066, 3). */
export const serverNameSchema = z
  .string()
  .refine(
    (text) => HOST_NAME.test(text) && isIP(text) === 0,
    'must be a host name, without a port',
  );

/** As Sentinel accepts them. */
export const masterNameSchema = z
  .string()
  .regex(/^[\w.-]{1,128}$/, 'must be the name that the Sentinels have for the master');
/** Of a user and of a password at Redis, which take nearly everything. */
export const loginSchema = z
  .string()
  .regex(/^[!-~]{1,512}$/, 'must be 512 characters of ASCII at the most, without blanks')
  .refine((text) => !/^(["'`]).*\1$/.test(text), 'must not stand in quotes');
export const flagSchema = z
  .enum(['true', 'false'], 'must be true or false')
  .transform((text) => text === 'true');
/** Reads the file. */
export const certificatesSchema = z.string().transform((path, context) => {
  const content = readTextFile(path);
  if ('text' in content && isCertificate(content.text)) return content.text;
  const problem = 'problem' in content ? content.problem : 'holds no certificates in PEM';
  context.addIssue({ code: 'custom', message: `names a file that ${problem}` });
  return z.NEVER;
});

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject !== '';
  } catch {
    return false;
  }
}

export const publicUrlSchema = z
  .string()
  .transform((url) => url.replace(/\/$/, ''))
  .refine(
    (url) => /^https:\/\/[a-z0-9.-]+$/i.test(url) || (url.startsWith('http:') && isSafeOrigin(url)),
    'must be an https origin without a path; http only to loopback',
  );

/** Settings say seconds, the code works with milliseconds. */
const toMs = (seconds: number) => seconds * 1000;
export const cronSchema = z.string().refine((text) => isCron(text), 'must be a cron expression');
export const windowSchema = z
  .string()
  .regex(/^\d{1,5}$/, 'must be whole seconds')
  .transform(Number)
  .refine((seconds) => seconds >= 1 && seconds <= 3600, 'must be between 1 and 3600')
  .transform(toMs);
export const stopDelaySchema = z
  .string()
  .regex(/^\d{1,3}$/, 'must be whole seconds')
  .transform(Number)
  .refine((seconds) => seconds <= 600, 'must be between 0 and 600')
  .transform(toMs);

/** What seals refresh tokens in Redis. */
export interface EncryptionKey {
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
  .transform((entries): readonly EncryptionKey[] =>
    entries.map((entry) => {
      const [id = '', key = ''] = entry.split(':');
      return { id, key };
    }),
  )
  .refine(
    (keys) =>
      ['id', 'key'].every(
        (name) => new Set(keys.map((one) => one[name as keyof EncryptionKey])).size === keys.length,
      ),
    'must not name the same key twice',
  );
export const rateSchema = z
  .string()
  .regex(/^\d{1,4}$/, 'must be a whole number')
  .transform(Number)
  .refine((perSecond) => perSecond >= 1, 'must be between 1 and 9999');
export const megabytesSchema = z
  .string()
  .regex(/^\d{1,6}$/, 'must be a whole number')
  .transform(Number)
  .refine((megabytes) => megabytes >= 1, 'must be at least 1')
  .transform((megabytes) => megabytes * 1024 * 1024);
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

export const proxySchema = z.string().transform((text, context) => {
  const read = parseProxy(text);
  if ('proxy' in read) return read.proxy;
  context.addIssue({ code: 'custom', message: read.fault });
  return z.NEVER;
});
export const noProxySchema = z.string().transform((text, context) => {
  const exceptions = parseNoProxy(text);
  if (exceptions !== undefined) return exceptions;
  const message =
    'must be names, addresses and networks such as 10.0.0.0/8, each perhaps with :port, comma-separated, or *';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

/** Whom alerts can be sent to: any program, or a robot of one of these services. */
export const ALERT_KINDS = ['json', 'wecom', 'dingtalk', 'feishu', 'serverchan'] as const;
export type AlertKind = (typeof ALERT_KINDS)[number];
export const alertKindSchema = z.enum(ALERT_KINDS, `must be one of ${ALERT_KINDS.join(', ')}`);
export const languageSchema = z.enum(['zh', 'en'], 'must be zh or en');
/** What signs messages: the robots' own, or one that the owner of a program has made up. */
export const webhookSecretSchema = z
  .string()
  .regex(SECRET_TEXT, 'must be 16 to 128 characters without spaces');

const WEBHOOK_FORM = 'must be an https URL without a user name';
export const webhookUrlSchema = z.string().refine(
  (text) => {
    if (!/^https?:\/\/[!-~]+$/.test(text) || !URL.canParse(text)) return false;
    const { username, password, hash } = new URL(text);
    return username === '' && password === '' && hash === '';
  },
  { error: WEBHOOK_FORM, abort: true },
);

/**
 * What is wrong with an address for this kind of alerts, once it has its form; undefined when nothing
 * is. Robots live in the internet; a program of one's own may be next door.
 */
export function webhookUrlFault(url: string, kind: AlertKind): string | undefined {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:' || LOOPBACK.test(hostname)) return undefined;
  if (kind !== 'json') return `${WEBHOOK_FORM}; http only to loopback`;
  if (isPrivate(hostname)) return undefined;
  return `${WEBHOOK_FORM}; http only to loopback and to private addresses and names`;
}

const TARGET_FORM = 'must be an https URL without a fragment';

/** What is wrong with the address that a delivery route names; undefined when nothing is. */
export function routeTargetFault(text: string): string | undefined {
  if (!/^https?:\/\/[!-~]+$/.test(text) || !URL.canParse(text)) return TARGET_FORM;
  const { protocol, hostname, hash, href } = new URL(text);
  if (hash !== '' || /\$APPID\$/i.test(hostname) || !isDecodable(href)) return TARGET_FORM;
  if (protocol === 'https:' || LOOPBACK.test(hostname) || isPrivate(hostname)) return undefined;
  return `${TARGET_FORM}; http only to loopback and to private addresses and names`;
}

/** Its user and password, percent-encoded, can be read. */
function isDecodable(href: string): boolean {
  const { username, password } = new URL(href);
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

/** Networks in CIDR notation, comma-separated. */
export const networksSchema = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== ''),
  )
  .refine((all) => all.every(isNetwork), 'must be networks such as 10.0.0.0/8, comma-separated');

/** @param hostname as URL has it: IPv6 in brackets */
function isPrivate(hostname: string): boolean {
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(address) === 0 ? PRIVATE_NAME.test(hostname) : isLocalAddress(address);
}

function isRedisUrl(text: string): boolean {
  if (!/^rediss?:\/\/\S+$/.test(text) || !URL.canParse(text)) return false;
  const { hostname, pathname } = new URL(text);
  if (!isDecodable(text)) return false;
  if (/[?#"'`]/.test(text) || /@.*@/.test(text)) return false;
  return hostname !== '' && /^\/?\d{0,5}$/.test(pathname);
}

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
/** Names that only a private network resolves. */
const PRIVATE_NAME = /^[a-z0-9-]+$|\.(?:internal|local)$/;
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
  const loopback = LOOPBACK.test(hostname);
  return origin === text && (protocol === 'https:' || (protocol === 'http:' && loopback));
}
