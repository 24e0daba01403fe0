import { createHmac } from 'node:crypto';
import { readWebUrl } from '../config/formats.ts';
import type { AuthorizationLink } from './link.ts';

/** Where a merchant's browser may be sent in the end: only below what the configuration lists. */

export type AuthorizationResult = 'authorized' | 'failed' | 'cancelled';

/**
 * Whether a return URL has the same origin as a listed one, and a path that is the listed one or
 * continues it after a slash. URLs that two programs could read in two ways match nothing.
 */
export function isAllowedReturnUrl(text: string, allowed: readonly string[]): boolean {
  const url = readWebUrl(text);
  if (url === undefined) return false;
  return allowed.some((one) => {
    const listed = readWebUrl(one);
    if (listed?.origin !== url.origin) return false;
    const folder = listed.pathname.replace(/\/$/, '');
    return url.pathname === listed.pathname || url.pathname.startsWith(`${folder}/`);
  });
}

/** What makes a return one that its application can tell from a typed address. */
export interface ReturnSigning {
  /** Epoch ms. */
  now: number;
  /** SHA-256 in hex of the API key that made the link; undefined when that key is no more. */
  keyHash: string | undefined;
}

/** The parameters that are ours, in the order in which they are signed. */
const SIGNED = [
  ...['link_id', 'ts', 'component_appid', 'authorizer_appid', 'result', 'state'],
] as const;

/**
 * The signature of a return: HMAC-SHA256 in hex over the values, one a line, the absent ones empty. Its
 * key is the SHA-256 of the API key in hex, for that is all we have of the key, and whoever has the key
 * has it, too; no other secret has to be shared. It opens nothing here: requests take the key itself.
 */
function signReturn(keyHash: string, address: URLSearchParams): string {
  const text = SIGNED.map((name) => address.get(name) ?? '').join('\n');
  return createHmac('sha256', keyHash).update(`wxkeeper return\n${text}`).digest('hex');
}

/**
 * The return URL of a link with what came of it, or undefined when it has none. The list is asked
 * again: what was taken off it since the link was made is no longer a place to send anybody.
 */
export function returnAddress(
  link: AuthorizationLink,
  allowed: readonly string[],
  result: AuthorizationResult,
  authorizer?: string,
  signing?: ReturnSigning,
): string | undefined {
  const { returnUrl, state, component } = link;
  if (returnUrl === undefined || !isAllowedReturnUrl(returnUrl, allowed)) return undefined;
  const url = new URL(returnUrl);
  for (const name of [...SIGNED, 'signature']) url.searchParams.delete(name);
  if (state !== undefined) url.searchParams.set('state', state);
  url.searchParams.set('component_appid', component);
  if (authorizer !== undefined) url.searchParams.set('authorizer_appid', authorizer);
  url.searchParams.set('result', result);
  // Links of former versions do not say whose they are: they come back as they did.
  if (signing !== undefined && link.madeBy !== undefined) {
    url.searchParams.set('link_id', link.id);
    url.searchParams.set('ts', String(Math.floor(signing.now / 1000)));
    if (signing.keyHash !== undefined) {
      url.searchParams.set('signature', signReturn(signing.keyHash, url.searchParams));
    }
  }
  return url.href;
}
