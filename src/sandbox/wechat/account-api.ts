import type { AccountOptions } from './options.ts';
import { currentOf, find, issue, judge, lifeMs } from './values.ts';
import type { ApiRequest, Issued, Outcome, World } from './model.ts';

/** The calls of an official account or mini-program of one's own. */

/** In the last five minutes of a stable token WeChat issues the next one; both work meanwhile. */
const STABLE_RENEWAL_MS = 300_000;
const FORCES_A_DAY = 20;
const FORCE_INTERVAL_MS = 30_000;
const DAY_MS = 86_400_000;

/** Each call issues a new token. */
export function classicToken(world: World, request: ApiRequest): Outcome {
  const { query } = request;
  if (query.get('grant_type') !== 'client_credential') return 40002;
  const account = authenticate(world, query.get('appid'), query.get('secret'));
  if (typeof account === 'number') return account;
  return answer(world, mintAccountToken(world, account.appid, 'token'));
}

export function mintAccountToken(
  world: World,
  appid: string,
  api: 'token' | 'stable_token',
  foreign?: true,
): Issued {
  const overlapMs = world.settings.accountOverlapMs;
  const more = foreign ? { api, foreign } : { api };
  return issue(world, appid, 'access_token', { family: api, overlapMs }, more);
}

/** The same token again until its last minutes, unless the caller insists. */
export function stableToken(world: World, request: ApiRequest): Outcome {
  const { body } = request;
  if (request.text === '') return 44002;
  if (body === undefined) return 47001;
  if (body['grant_type'] !== 'client_credential') return 40002;
  const account = authenticate(world, body['appid'], body['secret']);
  if (typeof account === 'number') return account;
  const { appid } = account;
  const now = world.clock.now();
  const current = currentOf(world, 'stable_token', appid);
  const live = judge(current, now) === 'live' && current !== undefined;
  if (body['force_refresh'] === true) {
    const forced = force(world, appid, now);
    if (forced === 'over') return 45009;
    if (forced === 'done') {
      if (current) current.endedAt = now;
      return answer(world, mintAccountToken(world, appid, 'stable_token'));
    }
  }
  const renewalMs = Math.min(STABLE_RENEWAL_MS, lifeMs(world, 'access_token') / 2);
  if (live && current.expiresAt - now > renewalMs) return answer(world, current);
  return answer(world, mintAccountToken(world, appid, 'stable_token'));
}

/** Twenty times a day, thirty seconds apart; sooner is as if it had not been asked for. */
function force(world: World, appid: string, now: number): 'done' | 'too_soon' | 'over' {
  const times = (world.forces.get(appid) ?? []).filter((time) => now - time < DAY_MS);
  if (now - (times.at(-1) ?? -Infinity) < FORCE_INTERVAL_MS) return 'too_soon';
  if (times.length >= FORCES_A_DAY) return 'over';
  world.forces.set(appid, [...times, now]);
  return 'done';
}

/** Inside its life the same ticket again, and always with a full life in `expires_in`. */
export function getTicket(world: World, request: ApiRequest): Outcome {
  const token = request.query.get('access_token') ?? '';
  if (token === '') return 41001;
  const now = world.clock.now();
  const issued = find(world, 'access_token', token);
  const verdict = judge(issued, now);
  if (issued === undefined || verdict !== 'live') return verdict === 'expired' ? 42001 : 40001;
  const type = request.query.get('type');
  if (type !== 'jsapi' && type !== 'wx_card') return 40097;
  const kind = `${type}_ticket` as const;
  const current = currentOf(world, kind, issued.owner);
  const ticket =
    current !== undefined && judge(current, now) === 'live'
      ? current
      : issue(world, issued.owner, kind, { family: kind, overlapMs: 0 });
  const expiresIn = Math.floor(lifeMs(world, kind) / 1000);
  return { errcode: 0, errmsg: 'ok', ticket: ticket.value, expires_in: expiresIn };
}

function answer(world: World, { value, expiresAt }: Issued): Outcome {
  return {
    access_token: value,
    // Up, so that a fresh one is stated with its full life however long this answer took.
    expires_in: Math.ceil((expiresAt - world.clock.now()) / 1000),
  };
}

function authenticate(world: World, appid: unknown, secret: unknown): AccountOptions | number {
  if (typeof appid !== 'string' || appid === '') return 41002;
  const account = world.accounts.get(appid);
  if (account === undefined) return 40013;
  if (typeof secret !== 'string' || secret === '') return 41004;
  return secret === account.secret ? account : 40125;
}
