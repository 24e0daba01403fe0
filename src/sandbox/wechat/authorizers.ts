import { randomBytes } from 'node:crypto';
import { FUNCS } from './authorizer-profile.ts';
import { currentOf, find, issue, judge, lifeMs, usePreAuthCode } from './values.ts';
import { componentOf } from './world.ts';
import type { AccountKind, Authorization, Issued, World } from './model.ts';

/** The accounts that have authorized a component. */

const REFRESH_TOKEN_BYTES = 32;

export interface Authorized {
  refreshToken: string;
  accessToken: string;
  /** Seconds. */
  expiresIn: number;
}

export interface AccountTraits {
  rotating?: boolean | undefined;
  /** Default as before, or `official`. */
  kind?: AccountKind | undefined;
  nickname?: string | undefined;
  /** Default all of its kind. */
  funcs?: readonly number[] | undefined;
}

export interface GrantOptions extends AccountTraits {
  /** Of the link that the merchant came by; used up by this. */
  preAuthCode?: string | undefined;
  /** Only the permission sets change: the authorization and its refresh token stay. */
  update?: boolean | undefined;
  /** Redirect and event carry different codes. */
  twoCodes?: boolean | undefined;
}

export interface Grant {
  /** The one that both carry; with `twoCodes` that of the redirect. */
  code: string;
  redirectCode: string;
  eventCode: string;
  /** Seconds. */
  expiresIn: number;
  /** Epoch milliseconds. */
  expiresAt: number;
}

/**
 * The merchant confirms: a new authorization, which ends the former one, refresh token and codes.
 * Its own refresh token comes with the exchange of a code.
 * @throws RangeError when there is no such component, when the pre_auth_code is not good (nothing
 * has happened then), or when there is nothing to update
 */
export function grant(
  world: World,
  component: string,
  authorizer: string,
  options: GrantOptions = {},
): Grant {
  const { appid } = componentOf(world, component);
  const former = findAuthorization(world, appid, authorizer);
  if (options.update && former === undefined) {
    throw new RangeError(`${authorizer} has not authorized ${appid}: there is nothing to update`);
  }
  if (options.preAuthCode !== undefined) spend(world, appid, options.preAuthCode);
  const authorization =
    options.update && former !== undefined
      ? Object.assign(former, changesOf(options))
      : enter(world, appid, authorizer, options);
  const issueCode = (): Issued => {
    const code = issue(world, `${appid}:${authorizer}`, 'authorization_code', undefined, {
      component: appid,
    });
    authorization.codes = [...(authorization.codes ?? []), code];
    return code;
  };
  const { value: redirectCode, expiresAt } = issueCode();
  const eventCode = options.twoCodes ? issueCode().value : redirectCode;
  const expiresIn = Math.floor(lifeMs(world, 'authorization_code') / 1000);
  return { code: redirectCode, redirectCode, eventCode, expiresIn, expiresAt };
}

/**
 * What api_query_auth does: a code works once, whichever of an authorization's codes it is. The
 * first exchange brings the refresh token, later ones repeat it; each mints an access token.
 * @returns the errcode when the code is no good
 */
export function exchange(
  world: World,
  component: string,
  code: string,
): (Authorized & { authorizer: string; authorization: Authorization }) | number {
  const issued = find(world, 'authorization_code', code);
  const [owner = '', authorizer = ''] = issued?.owner.split(':') ?? [];
  if (issued === undefined || owner !== component) return 61009;
  const now = world.clock.now();
  const verdict = judge(issued, now);
  if (verdict === 'expired') return 61010;
  const authorization = findAuthorization(world, component, authorizer);
  if (verdict !== 'live' || authorization === undefined) return 61009;
  issued.endedAt = now;
  if (authorization.refreshToken === '') authorization.refreshToken = randomRefreshToken();
  const tokens = tokensOf(world, component, authorizer, authorization);
  return { ...tokens, authorizer, authorization };
}

/**
 * An account authorizes a component and its code is exchanged; again, it authorizes anew: another
 * refresh token, and the former one ends.
 * @throws RangeError when there is no such component
 */
export function authorize(
  world: World,
  component: string,
  authorizer: string,
  traits: AccountTraits = {},
): Authorized {
  const { appid } = componentOf(world, component);
  const authorization = enter(world, appid, authorizer, traits);
  authorization.refreshToken = randomRefreshToken();
  return tokensOf(world, appid, authorizer, authorization);
}

export function unauthorize(world: World, component: string, authorizer: string): void {
  const authorization = findAuthorization(world, component, authorizer);
  const now = world.clock.now();
  if (authorization) endCodes(authorization, now);
  world.authorizations.get(component)?.delete(authorizer);
  const current = currentOf(world, 'authorizer', `${component}:${authorizer}`);
  if (current) current.endedAt = Math.min(current.endedAt, now);
}

/**
 * Many accounts that have authorized, with refresh tokens but, to stay cheap, without any access
 * token yet. The appids are the same in every world; who has authorized already stays as it is.
 * @param from number of the first
 * @throws RangeError when there is no such component
 */
export function populate(
  world: World,
  component: string,
  count: number,
  { from = 0 }: { from?: number | undefined } = {},
): string[] {
  const { appid: owner } = componentOf(world, component);
  // At once, since asking for them one by one is most of the work.
  const secrets = randomBytes(REFRESH_TOKEN_BYTES * count);
  return Array.from({ length: count }, (_, index) => {
    const number = from + index;
    const appid = `wxa${number.toString(16).padStart(15, '0')}`;
    if (findAuthorization(world, owner, appid) === undefined) {
      const kind = number % 3 === 2 ? 'mini' : 'official';
      const at = index * REFRESH_TOKEN_BYTES;
      const secret = secrets.subarray(at, at + REFRESH_TOKEN_BYTES);
      enter(world, owner, appid, { kind }).refreshToken = refreshTokenFrom(secret);
    }
    return appid;
  });
}

export function findAuthorization(
  world: World,
  component: string,
  authorizer: string,
): Authorization | undefined {
  return world.authorizations.get(component)?.get(authorizer);
}

/** In the order of their first authorization; one that ended it begins at the end again. */
export function* listAuthorizations(
  world: World,
  component: string,
  offset: number,
  count: number,
): Generator<[string, Authorization]> {
  let index = 0;
  for (const entry of world.authorizations.get(component) ?? []) {
    if (index >= offset + count) return;
    if (index >= offset) yield entry;
    index += 1;
  }
}

/** Issues a token; the one before it ends, as a component's does. */
export function mintAuthorizerToken(
  world: World,
  component: string,
  authorizer: string,
  foreign?: true,
): string {
  const owner = `${component}:${authorizer}`;
  const succession = { family: 'authorizer', overlapMs: world.settings.overlapMs };
  const more = foreign ? { component, foreign } : { component };
  return issue(world, owner, 'authorizer_access_token', succession, more).value;
}

/** The refresh token that an answer carries: the same, or another one when they rotate. */
export function renewRefreshToken(authorization: Authorization): string {
  if (authorization.rotating) authorization.refreshToken = randomRefreshToken();
  return authorization.refreshToken;
}

/** @throws RangeError when it was not issued to this component, or is not good any more */
function spend(world: World, component: string, preAuthCode: string): void {
  const own = find(world, 'pre_auth_code', preAuthCode)?.owner === component;
  const verdict = own ? usePreAuthCode(world, preAuthCode) : 'unknown';
  if (verdict !== 'ok') throw new RangeError(`the pre_auth_code is ${verdict}`);
}

/** A new authorization without refresh token in the place of the former one. */
function enter(
  world: World,
  component: string,
  authorizer: string,
  traits: AccountTraits,
): Authorization {
  const former = findAuthorization(world, component, authorizer);
  const authTime = world.clock.now();
  if (former) endCodes(former, authTime);
  const kind = traits.kind ?? former?.kind ?? 'official';
  const nickname = traits.nickname ?? former?.nickname;
  const authorization: Authorization = {
    refreshToken: '',
    rotating: traits.rotating ?? false,
    authTime,
    kind,
    funcs: traits.funcs ?? FUNCS[kind],
    ...(nickname !== undefined && { nickname }),
  };
  const authorizers = world.authorizations.get(component) ?? new Map<string, Authorization>();
  world.authorizations.set(component, authorizers.set(authorizer, authorization));
  return authorization;
}

function changesOf({ rotating, nickname, funcs }: AccountTraits): Partial<Authorization> {
  return {
    ...(rotating !== undefined && { rotating }),
    ...(nickname !== undefined && { nickname }),
    ...(funcs !== undefined && { funcs }),
  };
}

function tokensOf(
  world: World,
  component: string,
  authorizer: string,
  { refreshToken }: Authorization,
): Authorized {
  return {
    refreshToken,
    accessToken: mintAuthorizerToken(world, component, authorizer),
    expiresIn: Math.floor(lifeMs(world, 'authorizer_access_token') / 1000),
  };
}

function endCodes({ codes = [] }: Authorization, now: number): void {
  for (const code of codes) code.endedAt = Math.min(code.endedAt, now);
}

function randomRefreshToken(): string {
  return refreshTokenFrom(randomBytes(REFRESH_TOKEN_BYTES));
}

function refreshTokenFrom(secret: Buffer): string {
  return `refreshtoken@@@${secret.toString('base64url')}`;
}
