import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import * as z from 'zod';
import { KeeperError } from '../lib/errors.ts';
import type { Language } from '../lib/language.ts';

/**
 * Signed start links: what a merchant is sent. Everything about the authorization is in the link
 * itself, so nothing is stored for it, and any replica opens a link that another one made.
 *
 * The key comes from the component's AppSecret, which all replicas have: no setting more, and a reset
 * of the AppSecret voids the links that are still open.
 */

export interface AuthorizationLink {
  /** 12 random bytes as text. Tells links apart in the log and in the limits; not a secret. */
  id: string;
  component: string;
  /** Which accounts the merchant may choose from: 1 official accounts, 2 mini-programs, 3 both … */
  authType: number;
  /** The one account that may be authorized; it takes the place of `authType`. */
  bizAppid: string | undefined;
  /** Permission sets to ask for; empty for those of the release. */
  categoryIds: readonly number[];
  /** Where the merchant's browser goes in the end. */
  returnUrl: string | undefined;
  /** Comes back with the return URL as it is. */
  state: string | undefined;
  language: Language | undefined;
  /** Id of the API key that made it, with which the return is signed. Not a secret. */
  madeBy?: string | undefined;
  /** Epoch ms. */
  expiresAt: number;
}

/** protocol: 4 is the promoter of mini-programs, 5 channels, 6 all of them, 8 the promotion assistant. */
export const AUTH_TYPES: readonly number[] = [1, 2, 3, 4, 5, 6, 8];
export const DEFAULT_AUTH_TYPE = 3;

/** Characters of a link's token: with it twice in a URL, one stays well below any limit of URLs. */
const MAX_TOKEN = 2048;
const TOKEN = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/;
const KEY_PURPOSE = 'wxkeeper authorization link';

const payloadSchema = z.object({
  component: z.string(),
  id: z.string().min(1).max(32),
  expires: z.number().int(),
  auth_type: z.number().int(),
  biz_appid: z.string().optional(),
  category_id_list: z.array(z.number().int()).default([]),
  return_url: z.string().optional(),
  state: z.string().optional(),
  lang: z.enum(['zh', 'en']).optional(),
  by: z.string().max(32).optional(),
});

export function newLinkId(): string {
  return randomBytes(12).toString('base64url');
}

/**
 * Makes a link's token.
 * @param secret the component's AppSecret
 * @param expiresAt epoch ms; the link counts whole seconds
 * @throws KeeperError `bad_request` when its parts are too long altogether
 */
export function createLink(
  secret: string,
  link: Omit<AuthorizationLink, 'id' | 'expiresAt'> & { id?: string },
  expiresAt: number,
): string {
  const payload: z.input<typeof payloadSchema> = {
    component: link.component,
    id: link.id ?? newLinkId(),
    expires: Math.floor(expiresAt / 1000),
    auth_type: link.authType,
    biz_appid: link.bizAppid,
    category_id_list: link.categoryIds.length === 0 ? undefined : [...link.categoryIds],
    return_url: link.returnUrl,
    state: link.state,
    lang: link.language,
    by: link.madeBy,
  };
  const body = Buffer.from(JSON.stringify(payload)).toString('base64url');
  const token = `${body}.${sign(secret, body)}`;
  if (token.length > MAX_TOKEN) {
    const message = 'return_url, state and category_id_list are too long altogether.';
    throw new KeeperError('bad_request', message);
  }
  return token;
}

/**
 * Opens a token from a URL. Only what this component's secret has signed is ever parsed.
 * @param text the token as it stands in the address
 * @param now epoch ms
 * @param graceMs how long after its end the link is still accepted
 * @throws KeeperError `link_invalid`, `link_expired`
 */
export function openLink(
  secret: string,
  component: string,
  text: string,
  now: number,
  graceMs = 0,
): AuthorizationLink {
  const payload = readPayload(secret, text);
  if (payload?.component !== component) {
    throw new KeeperError('link_invalid', 'This link is incomplete or was not made here.');
  }
  const expiresAt = payload.expires * 1000;
  if (now >= expiresAt + graceMs) {
    throw new KeeperError('link_expired', 'This link has expired; ask for a new one.');
  }
  return {
    id: payload.id,
    component,
    authType: payload.auth_type,
    bizAppid: payload.biz_appid,
    categoryIds: payload.category_id_list,
    returnUrl: payload.return_url,
    state: payload.state,
    language: payload.lang,
    madeBy: payload.by,
    expiresAt,
  };
}

function readPayload(secret: string, text: string): z.output<typeof payloadSchema> | undefined {
  if (text.length > MAX_TOKEN) return undefined;
  const [, body, signature] = TOKEN.exec(text) ?? [];
  if (body === undefined || signature === undefined) return undefined;
  // Compared as text: base64 has several spellings of the same bytes, and only ours is accepted.
  if (!timingSafeEqual(Buffer.from(signature), Buffer.from(sign(secret, body)))) return undefined;
  try {
    const content: unknown = JSON.parse(Buffer.from(body, 'base64url').toString());
    return payloadSchema.safeParse(content).data;
  } catch {
    return undefined;
  }
}

function sign(secret: string, body: string): string {
  const key = Buffer.from(hkdfSync('sha256', secret, '', KEY_PURPOSE, 32));
  return createHmac('sha256', key).update(body).digest('base64url');
}

/** WeChat's own pages for a scan on a computer and for a phone. Origins. */
export interface AuthorizationOrigins {
  pc: string;
  mobile: string;
}

/**
 * The two addresses at which WeChat asks the merchant.
 * @param redirectUri where WeChat sends the merchant back with `auth_code` and `expires_in`
 */
export function wechatPages(
  origins: AuthorizationOrigins,
  link: AuthorizationLink,
  preAuthCode: string,
  redirectUri: string,
): { pc: string; mobile: string } {
  // Encoded as a whole: parameters of the redirect_uri would otherwise become WeChat's.
  const query = new URLSearchParams({
    component_appid: link.component,
    pre_auth_code: preAuthCode,
    redirect_uri: redirectUri,
    ...(link.bizAppid === undefined
      ? { auth_type: String(link.authType) }
      : { biz_appid: link.bizAppid }),
    ...(link.categoryIds.length > 0 && { category_id_list: link.categoryIds.join('|') }),
  }).toString();
  return {
    pc: `${origins.pc}/cgi-bin/componentloginpage?${query}`,
    mobile: `${origins.mobile}/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&${query}#wechat_redirect`,
  };
}
