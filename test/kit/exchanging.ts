import { expect, vi } from 'vitest';
import {
  createAuthorizations,
  type Authorizations,
} from '../../src/authorizers/code-exchange/queue.ts';
import { createLocalCopies } from '../../src/credentials/local-copy.ts';
import type { Log } from '../../src/lib/log.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { openExchanges } from '../../src/store/authorizers/code-exchange.ts';
import { createWechatApi, type WechatApi } from '../../src/wechat/client.ts';
import { AUTHORIZED } from './authorizers.ts';
import { createLinkedPlatform } from './authorizing.ts';
import { read } from './observe.ts';
import { POLLING, secondsUntil } from './redis-trouble.ts';
import {
  AUTHORIZER,
  COMPONENT,
  MINUTE,
  type LogLine,
  type Station,
  type StationOptions,
} from './platform.ts';

/** What the stories of authorization codes that meet trouble have in common. */

export const C = COMPONENT.appid;
export const QUERY = 'api_query_auth';
export const INFO = 'api_get_authorizer_info';

export const EXCHANGED = 'an authorization code was exchanged';
export const NOT_YET = 'an authorization code could not be exchanged yet';
export const NEEDS_PERSON = 'an authorization code cannot be exchanged: a person should look';
export const REFUSED = 'WeChat refuses an authorization code';
export const HEALED = 'a code was lost; WeChat named the refresh token';
export const LOST = 'an authorization code was lost: the account must authorize again';

/** A platform that has read WeChat's list of authorizers already: no round of that is due. */
export async function createQuietPlatform(options: StationOptions = {}): Promise<Station> {
  const station = await createLinkedPlatform(options);
  await station.pass(MINUTE);
  return station;
}

/** An account of its own for each number. */
export const accountOf = (number: number) => `wxb${number.toString(16).padStart(15, '0')}`;

/** Everybody gets what lives at WeChat, and what is stored refreshes it. */
export async function expectAlive(station: Station, authorizer = AUTHORIZER): Promise<void> {
  const { simulator, redis, keys } = station;
  const id = authorizerToken(C, authorizer);
  const { status, value } = await read(station, id);
  expect(status).toBe(200);
  expect(simulator.isLive(id.kind, value ?? '')).toBe(true);
  expect(await redis.get(keys.mirror(id))).toBe(value);
  const hash = await redis.hgetall(keys.record(id));
  expect(hash.refresh_token).toBe(simulator.refreshTokenOf(C, authorizer));
  for (const field of ['suspect', 'lock_op', 'intents']) expect(hash).not.toHaveProperty(field);
  expect(await openExchanges(station.store, C)).toEqual([]);
}

/** Simulated seconds until `expectAlive` holds. */
export const secondsUntilAlive = (station: Station, limit: number, authorizer = AUTHORIZER) =>
  secondsUntil(station, limit, () => expectAlive(station, authorizer));

/** What is kept of each exchange, the ended ones included. */
export async function exchangesKept({ redis, keys }: Station): Promise<Record<string, unknown>[]> {
  const texts = await redis.hvals(keys.exchanges(C));
  return texts.map((text) => JSON.parse(text) as Record<string, unknown>);
}

/** How the account is listed. */
export async function entryOf({ redis, keys }: Station, authorizer = AUTHORIZER) {
  const text = await redis.hget(keys.authorizers(C), authorizer);
  return text === null ? undefined : (JSON.parse(text) as Record<string, unknown>);
}

/** What a merchant reads in the end whose browser asks for a page that waits for an exchange. */
export async function opened(station: Station, page: () => Promise<Response>): Promise<string> {
  let text: string | undefined;
  const loading = page().then(async (answer) => (text = await answer.text()));
  await vi.waitFor(async () => {
    if (text === undefined) await station.pass(500);
    expect(text).toBeDefined();
  }, POLLING);
  return loading;
}

/** The part of a replica that exchanges codes; it stops for good at a chosen point. */
export interface DoomedExchanger {
  authorizations: Authorizations;
  logs: LogLine[];
  /** Components of which only the whole list can tell what has become of a code. */
  lost: string[];
  /** Resolves when it has come to its end. */
  stopped: Promise<void>;
  /** Lets it go on after all. */
  wake(): void;
}

/** @param point `never` makes it a replica like any other, but for hearing what it reports */
export function createExchanger(
  station: Station,
  point: 'before send' | 'after answer' | 'never',
  replica = 'doomed',
): DoomedExchanger {
  const { clock, config, store, app } = station;
  const stopped = createSignal();
  const woken = createSignal();
  const logs: LogLine[] = [];
  const lost: string[] = [];
  const log = collect(logs);
  const call = createWechatApi({ baseUrls: config.wechatApiBaseUrls, clock, log });
  const stopAt = async (here: typeof point, name: string) => {
    if (here !== point || name !== QUERY) return;
    stopped.give();
    await woken.given;
  };
  const api: WechatApi = async (request) => {
    await stopAt('before send', request.name);
    const answer = await call(request);
    await stopAt('after answer', request.name);
    return answer;
  };
  const authorizations = createAuthorizations({
    store,
    clock,
    log,
    memory: createLocalCopies(clock, store.time),
    replica,
    api,
    keeper: app.keeper,
    windowMs: config.refreshWindowMs,
    components: [C],
    wechatNow: () => clock.now(),
    onAuthorized: (component, authorizer) => {
      void app.keeper.ensureFresh(authorizerToken(component, authorizer), 'patrol');
    },
    onLost: (component) => void lost.push(component),
  });
  return { authorizations, logs, lost, stopped: stopped.given, wake: woken.give };
}

function createSignal() {
  let give = (): void => undefined;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give: () => give() };
}

function collect(lines: LogLine[]): Log {
  const write = (level: string) => (message: string, fields?: Record<string, unknown>) =>
    void lines.push({ level, message, ...fields });
  const log: Log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    in: () => log,
    close: () => Promise.resolve(),
  };
  return log;
}

export { AUTHORIZED };
