import { randomBytes } from 'node:crypto';
import { currentOf, issue, lifeMs } from './values.ts';
import { componentOf, type World } from './world.ts';

/** The accounts that have authorized a component. */

export interface Authorization {
  refreshToken: string;
  /** Each use of the refresh token brings another one and ends it. */
  rotating: boolean;
}

export interface Authorized {
  refreshToken: string;
  accessToken: string;
  /** Seconds. */
  expiresIn: number;
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
  { rotating = false }: { rotating?: boolean | undefined } = {},
): Authorized {
  const { appid } = componentOf(world, component);
  const refreshToken = randomRefreshToken();
  world.authorizations.set(`${appid}:${authorizer}`, { refreshToken, rotating });
  return {
    refreshToken,
    accessToken: mintAuthorizerToken(world, appid, authorizer),
    expiresIn: Math.floor(lifeMs(world, 'authorizer_access_token') / 1000),
  };
}

export function unauthorize(world: World, component: string, authorizer: string): void {
  const owner = `${component}:${authorizer}`;
  world.authorizations.delete(owner);
  const current = currentOf(world, 'authorizer', owner);
  if (current) current.endedAt = Math.min(current.endedAt, world.clock.now());
}

export function findAuthorization(
  world: World,
  component: string,
  authorizer: string,
): Authorization | undefined {
  return world.authorizations.get(`${component}:${authorizer}`);
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

function randomRefreshToken(): string {
  return `refreshtoken@@@${randomBytes(32).toString('base64url')}`;
}
