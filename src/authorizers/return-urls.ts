import { readWebUrl } from '../setting-formats.ts';
import type { AuthorizationLink } from './links.ts';

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

/**
 * The return URL of a link with what came of it, or undefined when it has none. The list is asked
 * again: what was taken off it since the link was made is no longer a place to send anybody.
 */
export function returnAddress(
  link: AuthorizationLink,
  allowed: readonly string[],
  result: AuthorizationResult,
  authorizer?: string,
): string | undefined {
  const { returnUrl, state, component } = link;
  if (returnUrl === undefined || !isAllowedReturnUrl(returnUrl, allowed)) return undefined;
  const url = new URL(returnUrl);
  url.searchParams.delete('state');
  url.searchParams.delete('authorizer_appid');
  if (state !== undefined) url.searchParams.set('state', state);
  url.searchParams.set('component_appid', component);
  if (authorizer !== undefined) url.searchParams.set('authorizer_appid', authorizer);
  url.searchParams.set('result', result);
  return url.href;
}
