import { failure } from './errcodes.ts';
import { findAuthorization, mintAuthorizerToken, renewRefreshToken } from './authorizers.ts';
import { setPushing } from './pusher.ts';
import { adopt, currentOf, find, issue, judge, lifeMs, type MintNote } from './values.ts';
import type { ApiRequest, Component, Issued, Outcome, World } from './model.ts';

/** The calls of a third-party platform. */

/** Every token of a component ends the one before it. */
const COMPONENT_FAMILY = 'component';

/** Delay until the first push after a successful api_start_push_ticket. */
const START_PUSH_MS = 1000;

export function componentToken(world: World, request: ApiRequest): Outcome {
  const component = authenticate(world, request, 'component_appsecret');
  if (typeof component === 'number') return component;
  const ticket = request.body?.['component_verify_ticket'];
  if (typeof ticket !== 'string') return 61006;
  const issued = find(world, 'component_verify_ticket', ticket);
  // A component's ticket is worth nothing to another one.
  if (issued?.owner !== component.appid) return 61006;
  const verdict = judge(issued, world.clock.now());
  if (verdict !== 'live') return verdict === 'expired' ? 61005 : 61006;
  const { value } = mintComponentToken(world, component, { ticket });
  return {
    component_access_token: value,
    expires_in: Math.floor(lifeMs(world, 'component_access_token') / 1000),
  };
}

export function createPreAuthCode(world: World, request: ApiRequest): Outcome {
  const component = callerOf(world, request);
  if (typeof component === 'number') return component;
  return {
    pre_auth_code: issue(world, component.appid, 'pre_auth_code').value,
    expires_in: Math.floor(lifeMs(world, 'pre_auth_code') / 1000),
  };
}

export function startPushTicket(world: World, request: ApiRequest): Outcome {
  // Not component_appsecret: the pages name the field differently for this call.
  const component = authenticate(world, request, 'component_secret');
  if (typeof component === 'number') return component;
  if (component.pushing) {
    return failure(0, world.clock.now(), 'component ticket push is already in normal state');
  }
  setPushing(world, component, true, START_PUSH_MS);
  return { errcode: 0, errmsg: 'ok' };
}

export function authorizerToken(world: World, request: ApiRequest): Outcome {
  const component = callerOf(world, request);
  if (typeof component === 'number') return component;
  const appid = request.body?.['authorizer_appid'];
  const refreshToken = request.body?.['authorizer_refresh_token'];
  if (typeof appid !== 'string' || typeof refreshToken !== 'string') return 40013;
  const authorization = findAuthorization(world, component.appid, appid);
  if (authorization === undefined) return 61003;
  // There is none to match before its code was exchanged.
  if (refreshToken === '' || authorization.refreshToken !== refreshToken) return 61023;
  const answer: Record<string, unknown> = {
    authorizer_access_token: mintAuthorizerToken(world, component.appid, appid),
    expires_in: Math.floor(lifeMs(world, 'authorizer_access_token') / 1000),
    authorizer_refresh_token: renewRefreshToken(authorization),
  };
  return answer;
}

/** Who calls, by the live component token in the query. */
export function callerOf(world: World, request: ApiRequest): Component | number {
  // Both names are documented for this call: older pages use the first, newer ones the second.
  const token =
    request.query.get('component_access_token') ?? request.query.get('access_token') ?? '';
  if (token === '') return 41001;
  const component = findComponent(world, request);
  const known = find(world, 'component_access_token', token);
  const issued =
    known === undefined && typeof component !== 'number'
      ? adoptComponentToken(world, component, token)
      : known;
  const verdict = judge(issued, world.clock.now());
  if (issued === undefined || verdict !== 'live') return verdict === 'expired' ? 42001 : 40001;
  if (typeof component === 'number') return component;
  return component.appid === issued.owner ? component : 40013;
}

function authenticate(
  world: World,
  request: ApiRequest,
  secretField: 'component_appsecret' | 'component_secret',
): Component | number {
  const component = findComponent(world, request);
  if (typeof component === 'number') return component;
  const secret = request.body?.[secretField] ?? '';
  if (secret === '') return 41004;
  return secret === component.secret ? component : 40125;
}

function findComponent(world: World, request: ApiRequest): Component | number {
  if (request.text === '') return 44002;
  if (request.body === undefined) return 47001;
  const appid = request.body['component_appid'] ?? '';
  if (appid === '') return 41018;
  const component = typeof appid === 'string' ? world.components.get(appid) : undefined;
  return component ?? 40013;
}

/** A component token, bought with a ticket, or by somebody else who knows the secret. */
export function mintComponentToken(
  world: World,
  { appid }: Component,
  more: MintNote,
): { value: string } {
  const succession = { family: COMPONENT_FAMILY, overlapMs: world.settings.overlapMs };
  return issue(world, appid, 'component_access_token', succession, more);
}

/** With `adoptTokens`, one of an earlier simulator, while this one has issued none. */
function adoptComponentToken(
  world: World,
  { appid }: Component,
  value: string,
): Issued | undefined {
  if (!world.settings.adoptTokens) return undefined;
  if (currentOf(world, COMPONENT_FAMILY, appid) !== undefined) return undefined;
  return adopt(world, appid, 'component_access_token', value, COMPONENT_FAMILY);
}
