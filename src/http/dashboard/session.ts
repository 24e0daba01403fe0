import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Request, Response } from 'express';
import type { ApiKey } from '../../config/api-keys.ts';

/**
 * Log-ins of people. A session is a signed cookie: any replica opens what another one has made, and it
 * works while Redis is away. Only those that a person has ended before their time are stored.
 *
 * The signing key comes from a secret that the replicas share, which is not in the settings, and from the
 * hash of the API key that logged in: taking that key away or changing it ends its sessions.
 */

export interface Session {
  key: ApiKey;
  /** Goes into every form; another site does not know it. */
  csrf: string;
  /** Random; the same as long as the session lasts. */
  id: string;
  /** Epoch ms at which it ends, and at which a person was last seen with it. */
  endsAt: number;
  seenAt: number;
}

/** Milliseconds: a working day. */
export const SESSION_MS = 8 * 3_600_000;
/** Milliseconds without a person at it. The page that renews itself does not count as one. */
const IDLE_MS = 3_600_000;
/** Milliseconds after which it is worth another cookie that somebody was seen. */
const RENEW_MS = 60_000;

const COOKIE =
  /^([a-z0-9][a-z0-9-]{0,31})\.([0-9a-z]{1,9})_([0-9a-z]{1,9})\.([A-Za-z0-9_-]{22})\.([\w-]{43})$/;
const NAME = 'wxkeeper_session';
const SESSION_PURPOSE = 'wxkeeper dashboard session';
const CSRF_PURPOSE = 'wxkeeper dashboard form';

/**
 * @param secret of the service, see `store/session-secret.ts`
 * @param now epoch ms
 */
export function createSession(secret: Buffer, key: ApiKey, now: number): string {
  const id = randomBytes(16).toString('base64url');
  return cookieOf(secret, { key, id, endsAt: now + SESSION_MS, seenAt: now });
}

/** The cookie of a session at which somebody was seen just now; undefined when that is known already. */
export function renewSession(secret: Buffer, session: Session, now: number): string | undefined {
  if (now - session.seenAt < RENEW_MS) return undefined;
  return cookieOf(secret, { ...session, seenAt: now });
}

function cookieOf(secret: Buffer, { key, id, endsAt, seenAt }: Omit<Session, 'csrf'>): string {
  const [ends, seen] = [endsAt, seenAt].map((ms) => Math.floor(ms / 1000).toString(36));
  const body = `${key.id}.${ends}_${seen}.${id}`;
  return `${body}.${sign(secret, key, SESSION_PURPOSE, body)}`;
}

/** Undefined for whatever was not made here, is over, or belongs to a key that is no more. */
function openSession(
  secret: Buffer,
  keys: readonly ApiKey[],
  cookie: string,
  now: number,
): Session | undefined {
  const [, keyId, ends = '', seen = '', id = '', signature = ''] = COOKIE.exec(cookie) ?? [];
  const key = keys.find((one) => one.id === keyId);
  if (key === undefined) return undefined;
  const body = `${key.id}.${ends}_${seen}.${id}`;
  if (!sameText(signature, sign(secret, key, SESSION_PURPOSE, body))) return undefined;
  const [endsAt, seenAt] = [parseInt(ends, 36) * 1000, parseInt(seen, 36) * 1000];
  if (now >= endsAt || now >= seenAt + IDLE_MS) return undefined;
  // Without the moment: forms on a page that is open stay good while its session is renewed.
  const csrf = sign(secret, key, CSRF_PURPOSE, `${key.id}.${ends}.${id}`);
  return { key, csrf, id, endsAt, seenAt };
}

/** @param expected what should have been sent; takes the same time wherever they differ */
export function sameText(sent: string, expected: string): boolean {
  const [one, other] = [Buffer.from(sent), Buffer.from(expected)];
  return one.length === other.length && timingSafeEqual(one, other);
}

function sign(secret: Buffer, { sha256 }: ApiKey, purpose: string, body: string): string {
  const key = Buffer.from(hkdfSync('sha256', secret, Buffer.from(sha256, 'hex'), purpose, 32));
  return createHmac('sha256', key).update(body).digest('base64url');
}

/** Over TLS, be it that a proxy in front has ended it. */
function isSecure(request: Request): boolean {
  const forwarded = request.get('x-forwarded-proto')?.split(',', 1)[0]?.trim().toLowerCase();
  return forwarded === 'https' || 'encrypted' in request.socket;
}

/** The sessions of a request. Every cookie of the name counts: a stale one must not hide a good one. */
export function sessionsOf(
  secret: Buffer,
  keys: readonly ApiKey[],
  request: Request,
  now: number,
): Session[] {
  return readCookies(request, sessionName(request)).flatMap(
    (value) => openSession(secret, keys, value, now) ?? [],
  );
}

/** @param lifeMs what is left of the session */
export function setSession(
  request: Request,
  response: Response,
  cookie: string,
  lifeMs: number,
): void {
  writeCookie(request, response, sessionName(request), cookie, Math.floor(lifeMs / 1000));
}

export function clearSession(request: Request, response: Response): void {
  writeCookie(request, response, sessionName(request), '', 0);
}

/** All values of a cookie that a request brings. */
export function readCookies(request: Request, name: string): string[] {
  return (request.headers.cookie ?? '')
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part.startsWith(`${name}=`))
    .map((part) => part.slice(name.length + 1));
}

/** A browser takes `__Host-` only from the host itself, over TLS. */
function sessionName(request: Request): string {
  return isSecure(request) ? `__Host-${NAME}` : NAME;
}

/** @param maxAge seconds */
export function writeCookie(
  request: Request,
  response: Response,
  name: string,
  value: string,
  maxAge: number,
): void {
  const secure = isSecure(request) ? '; Secure' : '';
  response.append(
    'Set-Cookie',
    `${name}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Strict${secure}`,
  );
}
