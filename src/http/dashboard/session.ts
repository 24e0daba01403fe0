import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Request, Response } from 'express';
import type { ApiKey } from '../../api-keys.ts';

/**
 * Log-ins of people. A session is a signed cookie and nothing else: any replica opens what another one
 * has made, and it works while Redis is away.
 *
 * The signing key comes from a secret that the replicas share, which is not in the settings, and from the
 * hash of the API key that logged in: taking that key away or changing it ends its sessions.
 */

export interface Session {
  key: ApiKey;
  /** Goes into every form; another site does not know it. */
  csrf: string;
}

/** Milliseconds: a working day. */
export const SESSION_MS = 8 * 3_600_000;

const COOKIE = /^([a-z0-9][a-z0-9-]{0,31})\.([0-9a-z]{1,9})\.([A-Za-z0-9_-]{22})\.([\w-]{43})$/;
const NAME = 'wxkeeper_session';
const SESSION_PURPOSE = 'wxkeeper dashboard session';
const CSRF_PURPOSE = 'wxkeeper dashboard form';

/**
 * @param secret of the service, see `store/session-secret.ts`
 * @param now epoch ms
 */
export function createSession(secret: Buffer, key: ApiKey, now: number): string {
  const expires = Math.floor((now + SESSION_MS) / 1000).toString(36);
  const body = `${key.id}.${expires}.${randomBytes(16).toString('base64url')}`;
  return `${body}.${sign(secret, key, SESSION_PURPOSE, body)}`;
}

/** Undefined for whatever was not made here, is over, or belongs to a key that is no more. */
export function openSession(
  secret: Buffer,
  keys: readonly ApiKey[],
  cookie: string,
  now: number,
): Session | undefined {
  const [, id, expires = '', nonce = '', signature = ''] = COOKIE.exec(cookie) ?? [];
  const key = keys.find((one) => one.id === id);
  if (key === undefined) return undefined;
  const body = `${key.id}.${expires}.${nonce}`;
  if (!sameText(signature, sign(secret, key, SESSION_PURPOSE, body))) return undefined;
  if (now >= parseInt(expires, 36) * 1000) return undefined;
  return { key, csrf: sign(secret, key, CSRF_PURPOSE, body) };
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
export function isSecure(request: Request): boolean {
  const forwarded = request.get('x-forwarded-proto')?.split(',', 1)[0]?.trim().toLowerCase();
  return forwarded === 'https' || 'encrypted' in request.socket;
}

/** The session of a request. Every cookie of the name counts: a stale one must not hide a good one. */
export function sessionOf(
  secret: Buffer,
  keys: readonly ApiKey[],
  request: Request,
  now: number,
): Session | undefined {
  for (const value of readCookies(request, sessionName(request))) {
    const session = openSession(secret, keys, value, now);
    if (session !== undefined) return session;
  }
  return undefined;
}

export function setSession(request: Request, response: Response, cookie: string): void {
  writeCookie(request, response, sessionName(request), cookie, SESSION_MS / 1000);
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
