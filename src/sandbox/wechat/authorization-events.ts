import { unauthorize } from './authorizers.ts';
import type { PushRecord } from './ledger.ts';
import { push } from './pusher.ts';
import { find, lifeMs, randomValue } from './values.ts';
import { componentOf } from './world.ts';
import type { World } from './model.ts';

/** The events that tell a component what its accounts have done. */

export interface AuthorizedEvent {
  /** Default `authorized`. */
  infoType?: 'authorized' | 'updateauthorized' | undefined;
  /** Default one that was never issued. */
  preAuthCode?: string | undefined;
  /** Unix seconds; default now. */
  createTime?: number | undefined;
  /**
   * Whether AuthorizationCodeExpiredTime is a unix time, as in real pushes, or the duration that
   * the page describes. Default true.
   */
  absoluteExpiry?: boolean | undefined;
}

export interface UnauthorizedEvent {
  /** Unix seconds; default now. */
  createTime?: number | undefined;
  /** Pushes the event and leaves the authorization as it is. */
  keep?: boolean | undefined;
}

/** See `push`. @throws RangeError without component or callback URL */
export function pushAuthorized(
  world: World,
  component: string,
  authorizer: string,
  code: string,
  { infoType = 'authorized', preAuthCode, createTime, absoluteExpiry = true }: AuthorizedEvent = {},
): Promise<PushRecord> {
  const lifeInMs = lifeMs(world, 'authorization_code');
  const expiresAt =
    find(world, 'authorization_code', code)?.expiresAt ?? world.clock.now() + lifeInMs;
  return push(world, componentOf(world, component), infoType, {
    ...(createTime !== undefined && { CreateTime: createTime }),
    AuthorizerAppid: authorizer,
    AuthorizationCode: code,
    AuthorizationCodeExpiredTime: Math.floor((absoluteExpiry ? expiresAt : lifeInMs) / 1000),
    PreAuthCode: preAuthCode ?? randomValue('pre_auth_code'),
  });
}

/** Ends the authorization and says so. See `push`. @throws RangeError as pushAuthorized does */
export function pushUnauthorized(
  world: World,
  component: string,
  authorizer: string,
  { createTime, keep = false }: UnauthorizedEvent = {},
): Promise<PushRecord> {
  const receiver = componentOf(world, component);
  if (!keep) unauthorize(world, component, authorizer);
  return push(world, receiver, 'unauthorized', {
    ...(createTime !== undefined && { CreateTime: createTime }),
    AuthorizerAppid: authorizer,
  });
}
